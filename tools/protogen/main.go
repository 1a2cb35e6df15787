// Command protogen writes the Go code of the protocol in serve/openinference from its .proto file, without protoc:
// the file is compiled by a Go library and handed to the plugins that go.mod pins. Run it here; with -check
// it only compares. It needs no network once the modules are in the module cache.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/bufbuild/protocompile"
	"github.com/bufbuild/protocompile/protoutil"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/pluginpb"
)

// plugins are tools of this module, and their parameters.
var plugins = []struct{ name, parameter string }{
	{"protoc-gen-go", "paths=source_relative"},
	{"protoc-gen-go-grpc", "paths=source_relative"},
}

func main() {
	check := flag.Bool("check", false, "write nothing, fail if a file differs")
	flag.Parse()
	if err := run("../..", "serve/openinference/inference.proto", *check); err != nil {
		fmt.Fprintln(os.Stderr, "protogen:", err)
		os.Exit(1)
	}
}

// run generates the code of one file, whose path is relative to the repository.
func run(root, path string, check bool) error {
	file, err := compile(root, path)
	if err != nil {
		return err
	}
	for _, p := range plugins {
		request := &pluginpb.CodeGeneratorRequest{
			FileToGenerate: []string{path},
			Parameter:      proto.String(p.parameter),
			ProtoFile:      []*descriptorpb.FileDescriptorProto{file},
		}
		response, err := generate(p.name, request)
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		for _, f := range response.File {
			if err := put(filepath.Join(root, f.GetName()), []byte(f.GetContent()), check); err != nil {
				return err
			}
		}
	}
	return nil
}

// compile parses and links the file, with its comments.
func compile(root, path string) (*descriptorpb.FileDescriptorProto, error) {
	compiler := protocompile.Compiler{
		Resolver:       &protocompile.SourceResolver{ImportPaths: []string{root}},
		SourceInfoMode: protocompile.SourceInfoStandard,
	}
	files, err := compiler.Compile(context.Background(), path)
	if err != nil {
		return nil, err
	}
	return protoutil.ProtoFromFileDescriptor(files[0]), nil
}

// generate runs a plugin.
func generate(plugin string, request *pluginpb.CodeGeneratorRequest) (*pluginpb.CodeGeneratorResponse, error) {
	in, err := proto.Marshal(request)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command("go", "tool", plugin)
	cmd.Stdin, cmd.Stderr = bytes.NewReader(in), os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, err
	}
	response := new(pluginpb.CodeGeneratorResponse)
	if err := proto.Unmarshal(out, response); err != nil {
		return nil, err
	}
	if response.Error != nil {
		return nil, errors.New(response.GetError())
	}
	return response, nil
}

// put writes a file, or compares it.
func put(path string, content []byte, check bool) error {
	if !check {
		return os.WriteFile(path, content, 0o644)
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	found, err := io.ReadAll(f)
	if err != nil {
		return err
	}
	if !bytes.Equal(found, content) {
		return fmt.Errorf("%s is not what the generator writes: run 'make generate'", path)
	}
	return nil
}
