package kernel_test

import (
	"testing"

	"melo.example/melo/internal/kernel"
)

func TestSelfTest(t *testing.T) {
	forEach(t, func(t *testing.T) {
		if err := kernel.SelfTest(); err != nil {
			t.Error(err)
		}
	})
}

func BenchmarkSelfTest(b *testing.B) {
	for b.Loop() {
		if err := kernel.SelfTest(); err != nil {
			b.Fatal(err)
		}
	}
}
