package machine

import (
	"bufio"
	"encoding/json"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"melo.example/melo/lora"
	"melo.example/melo/vit"
)

// serveRounds runs the line protocol over the given commands.
func serveRounds(t *testing.T, commands ...string) []roundAnswer {
	t.Helper()
	b, err := Open(Options{Base: filepath.Join("..", "..", "testdata", "golden", "timm_vit"), Precision: vit.F32})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	var out strings.Builder
	if err := b.Rounds(t.Context(), strings.NewReader(strings.Join(commands, "\n")), &out); err != nil {
		t.Fatal(err)
	}
	var answers []roundAnswer
	for lines := bufio.NewScanner(strings.NewReader(out.String())); lines.Scan(); {
		var a roundAnswer
		if err := json.Unmarshal(lines.Bytes(), &a); err != nil {
			t.Fatalf("%q: %v", lines.Text(), err)
		}
		answers = append(answers, a)
	}
	return answers
}

func TestServeRounds(t *testing.T) {
	got := serveRounds(t, "forward 1", "step 2", "losses 2 3", "logits 4", "logits 1", "adapters 20 32", "rss", "quit", "forward 1")
	if len(got) != 7 {
		t.Fatalf("%d answers: %+v", len(got), got)
	}
	for i, a := range got {
		if a.Error != "" {
			t.Fatalf("answer %d: %s", i, a.Error)
		}
	}
	if got[0].Seconds <= 0 || got[1].Seconds <= 0 {
		t.Errorf("got %+v", got[:2])
	}
	losses := got[2].Losses
	if len(losses) != 3 || !(losses[2] < losses[0]) {
		t.Errorf("steps do not lower the loss: %v", losses)
	}
	// The first loss: the head's weights are small and its bias is zero, so all classes are about equal.
	if math.Abs(losses[0]-math.Log(headLabels)) > 1 {
		t.Errorf("loss %g before the first step, expected about log %d", losses[0], headLabels)
	}
	two, one := got[3].Logits, got[4].Logits
	if len(one) == 0 || len(two) != 2*len(one) || !slices.Equal(two[:len(one)], one) {
		t.Errorf("logits %v in a batch of four, %v alone", two, one)
	}
}

// The losses are those of a fresh adapter, whatever was trained before.
func TestServeRoundsLossesAgain(t *testing.T) {
	got := serveRounds(t, "losses 2 2", "step 2", "step 2", "losses 2 2")
	if len(got) != 4 || !slices.Equal(got[0].Losses, got[3].Losses) {
		t.Errorf("got %+v", got)
	}
}

func TestServeRoundsRefuses(t *testing.T) {
	for i, a := range serveRounds(t, "nonsense", "forward 0", "forward", "forward 1025", "losses 2", "losses 2 x", "rss 1", "", "step 1 1") {
		if !strings.Contains(a.Error, "expected quit, rss, forward B") {
			t.Errorf("command %d: %+v", i, a)
		}
	}
}

func TestBenchStatistics(t *testing.T) {
	if got := median([]float64{3, 1, 2}); got != 2 {
		t.Errorf("median %g", got)
	}
	if got := median([]float64{4, 1, 2, 3}); got != 2.5 {
		t.Errorf("median %g", got)
	}
	if got := spread([]float64{1, 2, 4, 9, 2}); got != 1 {
		t.Errorf("spread %g", got)
	}
}

// The adapters of the switching and mixed parts change the result, so that their work is real.
func TestBenchAdaptersWork(t *testing.T) {
	b, err := Open(Options{Base: filepath.Join("..", "..", "testdata", "golden", "hf_vit"), Precision: vit.F32, Threads: 1, Duration: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	list, err := b.adapters(2, b.rankOf)
	if err != nil {
		t.Fatal(err)
	}
	engine, images := newInference(b, 1).engine, b.images(1)
	bare := slices.Clone(engine.Features(images, 1))
	if got := engine.Features(images, 1, lora.Segment{Adapter: list[1], Images: 1}); slices.Equal(got, bare) || list[0].Bytes() == list[1].Bytes() {
		t.Error("adapters change nothing, or are of one rank")
	}
}
