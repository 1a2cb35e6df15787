package main

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"melo.example/melo/inspect"
	"melo.example/melo/train/pretrain"
)

// pretrainArgs are those of a run that takes a second.
func pretrainArgs(out string, more ...string) []string {
	return append([]string{"pretrain", "--json", "--out", out, "--width", "32", "--depth", "2", "--heads", "2", "--image", "48", "--epochs", "3",
		"--epoch-images", "64", "--batch", "16", "--pass", "8", "--warmup", "2", "--precision", "f32"}, more...)
}

// TestPretrain: a base is written that opens, with its record; stopped and resumed it is the same file.
func TestPretrain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	out := filepath.Join(dir, "base")
	var doc pretrain.Record
	melo(t, pretrainArgs(out)...).want(t, exitDone).decode(t, &doc)
	if len(doc.Epochs) != 3 || doc.Epochs[2].Images != 192 || doc.Config.Width != 32 {
		t.Errorf("got %+v", doc)
	}
	var seen inspect.Document
	melo(t, "inspect", "--json", "--digest", out).want(t, exitDone).decode(t, &seen)
	if seen.Digest != doc.Digest || seen.Base == nil || seen.Base.Image != 48 {
		t.Errorf("inspect says %+v, the record has the digest %s", seen, doc.Digest)
	}
	kept, err := pretrain.ReadRecord(filepath.Join(out, pretrain.RecordName))
	if err != nil || kept.Digest != doc.Digest {
		t.Errorf("record %+v, %v", kept, err)
	}

	again := filepath.Join(dir, "again")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	meloWatched(ctx, "epoch 2", cancel, pretrainArgs(again)...).want(t, exitInterrupted)
	melo(t, pretrainArgs(again)...).want(t, exitUsage) // there is a checkpoint
	var resumed pretrain.Record
	melo(t, pretrainArgs(again, "--resume", "--workers", "1", "--pass", "16")...).want(t, exitDone).decode(t, &resumed)
	if resumed.Digest != doc.Digest || len(resumed.Epochs) != 3 {
		t.Errorf("resumed: digest %s with %d epochs, whole: %s", resumed.Digest, len(resumed.Epochs), doc.Digest)
	}
	if _, err := os.Stat(filepath.Join(again+".run", "loss.svg")); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(again+".run", "checkpoint.safetensors")); err == nil {
		t.Error("the checkpoint of a finished run was left")
	}
}

func TestPretrainUsage(t *testing.T) {
	t.Parallel()
	for _, more := range [][]string{{"--patch", "8"}, {"--image", "50"}, {"--heads", "5"}, {"--lr", "-1"}, {"--epoch-images", "1"}, {"--mask", "1"}} {
		melo(t, pretrainArgs(filepath.Join(t.TempDir(), "base"), more...)...).want(t, exitUsage)
	}
	melo(t, pretrainArgs(filepath.Join(t.TempDir(), "base"), "--probe", "nowhere")...).want(t, exitBadInput)
}
