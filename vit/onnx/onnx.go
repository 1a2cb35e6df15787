package onnx

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"

	"melo.example/melo/vit/arch"

	"google.golang.org/protobuf/encoding/protowire"
)

// Model is the model to write. Its input is "image" [batch, 3, side, side], prepared according to the recipe in
// the metadata. Its outputs are "features" [batch, Features] and, if the network has a head, "logits" [batch,
// Classes] and "probabilities".
type Model struct {
	Config arch.Config
	// Read returns the values of a parameter of Config. It may be called more than once per parameter.
	Read func(name string) ([]float32, error)
	// OneHead says that the head is an adapter's, which reads all features, even if the base has one head for
	// each of two tokens.
	OneHead bool
	// Mirror averages the logits of the image and of its mirror image, flipped left to right.
	Mirror bool
	// Exclusive says that exactly one label applies: probabilities are a softmax, otherwise sigmoids.
	// Temperatures divide the logits first: none, one, or one per label.
	Exclusive    bool
	Temperatures []float64
	// Producer and Version name the program. Metadata holds further information for readers.
	Producer, Version string
	Metadata          map[string]string
}

// Size returns the bytes that the values of the model take.
func (m *Model) Size() (int64, error) {
	n, err := m.build()
	if err != nil {
		return 0, err
	}
	size := int64(0)
	for i := range n.constants {
		size += n.constants[i].size()
	}
	return size, nil
}

// MaxSize is the largest model in a single file, in bytes: a protocol buffer is limited to 2 GiB.
const MaxSize = math.MaxInt32 - 1<<24

// build makes the graph.
func (m *Model) build() (*network, error) {
	c := m.Config
	if err := c.Validate(); err != nil {
		return nil, err
	}
	n := &network{graph: graph{known: map[string]bool{}}, c: &c, read: m.Read, has: map[string][]int{}}
	for _, p := range c.Params() {
		n.has[p.Name] = p.Shape
	}
	if m.OneHead && c.TwoHeads() {
		n.has["head.weight"] = []int{c.Classes, c.Features()}
		delete(n.has, "head_dist.weight")
	}
	x := "image"
	if m.Mirror {
		x = n.concat(0, x, n.slice(x, 3, -1, math.MinInt32, -1))
	}
	features := n.features(x)
	var logits string
	if c.Classes > 0 {
		logits = n.logits(features)
	}
	if m.Mirror {
		features, _ = n.halves(features, 0)
		if logits != "" {
			one, other := n.halves(logits, 0)
			logits = n.times(n.plus(one, other), n.number(0.5))
		}
	}
	n.rename(features, "features")
	if logits != "" {
		n.rename(logits, "logits")
		n.probabilities("logits", m)
	}
	return n, n.err
}

// probabilities adds the probabilities of calibrated logits.
func (n *network) probabilities(logits string, m *Model) {
	x := logits
	if k := len(m.Temperatures); k > 0 {
		x = n.node("Div", []string{x, n.floats("temperatures", []int{k}, func() ([]float32, error) {
			v := make([]float32, k)
			for i, t := range m.Temperatures {
				if v[i] = float32(t); t == 0 {
					v[i] = 1
				}
			}
			return v, nil
		})})
	}
	if m.Exclusive {
		n.add("Softmax", []string{x}, []string{"probabilities"}, attribute{"axis", -1})
		return
	}
	n.add("Sigmoid", []string{x}, []string{"probabilities"})
}

// Write writes the model. If data is nil everything goes to w, at most MaxSize bytes. Otherwise the values of
// large parameters go to data, a file that must lie beside the model under the name location.
func (m *Model) Write(w, data io.Writer, location string) error {
	n, err := m.build()
	if err != nil {
		return err
	}
	size, err := m.Size()
	if err != nil {
		return err
	}
	if data == nil && size > MaxSize {
		return fmt.Errorf("onnx: %d bytes of numbers do not fit into one file of at most %d", size, int64(MaxSize))
	}
	if data != nil && location == "" {
		return errors.New("onnx: the file of the numbers has no name")
	}
	f := file{graph: &n.graph, w: w, data: data, location: location}
	f.lay()
	var nodes message
	for _, node := range n.nodes {
		nodes.bytes(1, node)
	}
	nodes.text(2, "melo")
	tail := n.results()
	var begin message
	begin.number(1, irVersion)
	begin.text(2, m.Producer)
	begin.text(3, m.Version)
	begin = protowire.AppendTag(begin, 7, protowire.BytesType)
	begin = protowire.AppendVarint(begin, uint64(len(nodes)+len(tail))+uint64(f.size))
	f.write(begin, nodes)
	f.constants()
	f.write(tail)
	var end, set message
	set.text(1, "")
	set.number(2, opset)
	end.bytes(8, set)
	for _, key := range slices.Sorted(maps.Keys(m.Metadata)) {
		end.bytes(14, pair(key, m.Metadata[key]))
	}
	f.write(end)
	return f.err
}

// results describes the model's inputs and outputs.
func (n *network) results() message {
	var tail message
	c := n.c
	tail.bytes(11, valueInfo("image", c.Channels, c.Image, c.Image))
	if c.Classes > 0 {
		tail.bytes(12, valueInfo("logits", c.Classes))
		tail.bytes(12, valueInfo("probabilities", c.Classes))
	}
	tail.bytes(12, valueInfo("features", c.Features()))
	return tail
}
