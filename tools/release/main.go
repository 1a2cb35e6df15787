// Command release builds the binaries of a release: static, for each system, with checksums, bills of materials and the
// licence texts of what is linked.
//
//	go run ./tools/release -out dist
//
// The same commit and the same Go give the same bytes, wherever the checkout lies: no path, time or name of a
// machine gets in.
package main

import (
	"bytes"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	program "melo.example/melo/internal/buildinfo"
)

// targets of a release.
var targets = []string{"linux/amd64", "linux/arm64", "darwin/arm64", "windows/amd64"}

func main() {
	log.SetFlags(0)
	out := flag.String("out", "dist", "folder to write")
	only := flag.String("targets", strings.Join(targets, ","), "systems to build for")
	dirty := flag.Bool("dirty", false, "build although the tree has changes that are not committed")
	flag.Parse()
	if err := release(*out, strings.Split(*only, ","), *dirty); err != nil {
		log.Fatal("release: ", err)
	}
}

// release builds every target into a folder, and writes SHA256SUMS of what lies there.
func release(out string, list []string, dirty bool) error {
	changed, err := output("git", "status", "--porcelain")
	if err != nil {
		return err
	}
	if changed != "" && !dirty {
		return fmt.Errorf("the tree has changes that are not committed (-dirty builds all the same):\n%s", changed)
	}
	version := program.Version
	stamp, err := commitTime()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(out, 0o777); err != nil {
		return err
	}
	var sums bytes.Buffer
	for _, target := range list {
		name, err := build(out, version, target)
		if err != nil {
			return err
		}
		path := filepath.Join(out, name)
		digest, err := digestOf(path)
		if err != nil {
			return err
		}
		info, err := buildinfo.ReadFile(path)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		bill, err := newBill(info, version, name, digest, stamp).text()
		if err != nil {
			return err
		}
		billName := name + ".cdx.json"
		if err := os.WriteFile(filepath.Join(out, billName), bill, 0o666); err != nil {
			return err
		}
		billSum := sha256.Sum256(bill)
		fmt.Fprintf(&sums, "%s  %s\n%s  %s\n", digest, name, hex.EncodeToString(billSum[:]), billName)
		log.Printf("%s  %s", digest, name)
	}
	texts, err := output("go", "run", "./tools/licences")
	if err != nil {
		return err
	}
	const licences = "THIRD_PARTY_LICENCES.txt"
	if err := os.WriteFile(filepath.Join(out, licences), []byte(texts+"\n"), 0o666); err != nil {
		return err
	}
	digest, err := digestOf(filepath.Join(out, licences))
	if err != nil {
		return err
	}
	fmt.Fprintf(&sums, "%s  %s\n", digest, licences)
	return os.WriteFile(filepath.Join(out, "SHA256SUMS"), sums.Bytes(), 0o666)
}

// build compiles one target and returns the name of the binary.
func build(out, version, target string) (string, error) {
	system, arch, ok := strings.Cut(target, "/")
	if !ok {
		return "", fmt.Errorf("target %q: expected system/architecture", target)
	}
	name := fmt.Sprintf("melo_%s_%s_%s", version, system, arch)
	if system == "windows" {
		name += ".exe"
	}
	// Stamping is off, because what Git tells depends on the clone; the revision is linked in instead.
	revision, err := output("git", "rev-parse", "HEAD")
	if err != nil {
		return "", err
	}
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w -buildid= -X main.builtFrom="+revision, "-o", filepath.Join(out, name), "./cmd/melo")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+system, "GOARCH="+arch, "GOAMD64=v1", "GOARM64=v8.0", "GOFLAGS=-mod=readonly", "GOEXPERIMENT=")
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("building for %s: %w", target, err)
	}
	return name, nil
}

// commitTime is when the commit was made, for the bills: a release has no other time.
func commitTime() (string, error) {
	return output("git", "log", "-1", "--format=%cd", "--date=format-local:%Y-%m-%dT%H:%M:%SZ")
}

func output(name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "TZ=UTC")
	text, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w", name, strings.Join(args, " "), err)
	}
	return strings.TrimSpace(string(text)), nil
}

func digestOf(path string) (string, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:]), nil
}
