// Command explain measures how faithful the maps of package explain are: insertion and deletion, pointing at what the phantoms
// have drawn, whether maps change with what they explain, and whether they stay when the image hardly changes.
//
//	go run ./bench/explain --base BASE --adapter FILE --data FOLDER [--images N]
//	go run ./bench/explain --base BASE --adapter FILE --phantom breast [--images N]
//
// It prints a row of a table for each method.
package main

import (
	"flag"
	"fmt"
	"log"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"melo.example/melo/bases"
	"melo.example/melo/compute"
	"melo.example/melo/dataset"
	"melo.example/melo/explain"
	"melo.example/melo/explain/faithful"
	"melo.example/melo/imaging"
	"melo.example/melo/internal/phantom"
	"melo.example/melo/lora/adapterfile"
	"melo.example/melo/vit"
)

// steps of the curves.
const steps = 14

// measured is what is found about one method.
type measured struct {
	name                                  string
	areas                                 faithful.Areas
	hit, mass, area                       float64
	regions                               int
	weights, adapter, label, right, lower float64 // rank correlations
	seconds                               float64
}

// run is a subject, and those that it is compared with.
type run struct {
	file     *adapterfile.File
	model    *vit.Model
	subject  explain.Subject
	random   explain.Subject // with random weights
	shuffled explain.Subject // with a random adapter
	inputs   [][]float32
	regions  [][][]bool // of each image: one, or one a label; nil where none is known
	random2  *rand.Rand
	checks   int
}

func main() {
	log.SetFlags(0)
	base, adapter := flag.String("base", "", "base"), flag.String("adapter", "", "adapter")
	data, task := flag.String("data", "", "folder of images"), flag.String("phantom", "", "task of the demo whose pictures are drawn")
	images, seed := flag.Int("images", 40, "number of images"), flag.Uint64("seed", 99, "of the phantoms, and of which images are taken")
	checks := flag.Int("checks", 10, "number of images whose maps are compared with each other")
	flag.Parse()
	pool := compute.NewPool(0)
	defer pool.Close()
	r, err := open(pool, *base, *adapter, *seed)
	if err == nil && *task != "" {
		err = r.draw(*task, *images, *seed)
	} else if err == nil {
		err = r.read(*data, *images)
	}
	if err != nil {
		log.Fatal(err)
	}
	r.checks = min(*checks, len(r.inputs))
	fmt.Printf("%d images, %d with a region, side %d, patch %d\n\n", len(r.inputs), count(r.regions), r.model.Image, r.model.Patch)
	fmt.Println("| method | insertion | deletion | difference | pointing | mass in region (area) | other weights | other adapter | other label | 1 px right | 1 px down | ms/image |")
	fmt.Println("|---|---|---|---|---|---|---|---|---|---|---|---|")
	for _, o := range []explain.Options{{Method: explain.GradCAM}, {Method: explain.Attribution}, {Method: explain.Rollout},
		{Method: explain.Occlusion, Window: 2}, {}} {
		m, err := r.measure(o)
		if err != nil {
			log.Fatal(err)
		}
		m.print(len(r.inputs), r.checks)
	}
}

func count(regions [][][]bool) (n int) {
	for _, r := range regions {
		if slices.ContainsFunc(r, func(one []bool) bool { return one != nil }) {
			n++
		}
	}
	return n
}

func open(pool *compute.Pool, base, adapter string, seed uint64) (*run, error) {
	f, err := adapterfile.Read(adapter)
	if err != nil {
		return nil, err
	}
	m, err := bases.Open(base, vit.Options{Image: f.Meta.Recipe.Size, Workers: pool})
	if err != nil {
		return nil, err
	}
	if f.Meta.Pool != "" {
		if m, err = vit.Pooled(m, f.Meta.Pool); err != nil {
			return nil, err
		}
	}
	r := &run{file: f, model: m, random2: rand.New(rand.NewPCG(seed, 1))}
	r.subject = explain.Subject{Model: m, Adapter: f.Adapter.Resident(vit.F32), Mirror: f.Meta.Mirror}
	r.random, r.shuffled = r.subject, r.subject
	r.random.Model = vit.Random(pool, m.Config, vit.F32, 0.05, seed)
	other := *f.Adapter
	other.Deltas = slices.Clone(other.Deltas)
	for i := range other.Deltas {
		d := &other.Deltas[i]
		d.A, d.B = r.like(d.A), r.like(d.B)
	}
	head := *other.Head
	head.W = r.like(head.W)
	other.Head = &head
	r.shuffled.Adapter = other.Resident(vit.F32)
	return r, nil
}

// like returns random numbers of the same size.
func (r *run) like(x []float32) []float32 {
	sum := 0.0
	for _, v := range x {
		sum += float64(v) * float64(v)
	}
	size := math.Sqrt(sum / float64(len(x)))
	out := make([]float32, len(x))
	for i := range out {
		out[i] = float32(size * r.random2.NormFloat64())
	}
	return out
}

func (r *run) add(img *imaging.Image, regions ...[]bool) error {
	input := make([]float32, r.file.Meta.Recipe.Values())
	if err := r.file.Meta.Recipe.Apply(img, input); err != nil {
		return err
	}
	for i := range regions {
		var err error
		if regions[i], err = r.seen(img, regions[i]); err != nil {
			return err
		}
	}
	r.inputs, r.regions = append(r.inputs, input), append(r.regions, regions)
	return nil
}

// seen returns a region of an image as it lies in the input.
func (r *run) seen(img *imaging.Image, region []bool) ([]bool, error) {
	if region == nil {
		return nil, nil
	}
	mask := &imaging.Image{W: img.W, H: img.H, C: 1, Bits: 8, Pix8: make([]uint8, len(region))}
	for i, in := range region {
		if in {
			mask.Pix8[i] = 255
		}
	}
	plain := r.file.Meta.Recipe
	plain.Mean, plain.Std, plain.Interpolation, plain.Resampling = [3]float32{}, [3]float32{1, 1, 1}, imaging.Bilinear, ""
	values := make([]float32, plain.Values())
	if err := plain.Apply(mask, values); err != nil {
		return nil, err
	}
	out := make([]bool, plain.Size*plain.Size)
	for i := range out {
		out[i] = values[i] > 0.5
	}
	return out, nil
}

func (r *run) draw(name string, n int, seed uint64) error {
	t, err := phantom.Find(name)
	if err != nil {
		return err
	}
	for i := range n {
		p := t.Draw(seed, i)
		b := p.Image.Bounds()
		img := &imaging.Image{W: b.Dx(), H: b.Dy(), C: 3, Bits: 8}
		for y := range img.H {
			for x := range img.W {
				red, green, blue, _ := p.Image.At(x, y).RGBA()
				img.Pix8 = append(img.Pix8, uint8(red>>8), uint8(green>>8), uint8(blue>>8))
			}
		}
		regions := p.Regions
		if !t.Multi {
			regions = [][]bool{p.Region}
		}
		if err := r.add(img, regions...); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) read(folder string, n int) error {
	files, _, err := dataset.Images([]string{folder})
	if err != nil {
		return err
	}
	r.random2.Shuffle(len(files), func(i, j int) { files[i], files[j] = files[j], files[i] })
	for _, f := range files[:min(n, len(files))] {
		img, err := imaging.DecodeFile(f)
		if err != nil {
			return err
		}
		if err := r.add(img); err != nil {
			return err
		}
	}
	return nil
}

// measure measures one method; a zero Options is a map by chance.
func (r *run) measure(o explain.Options) (*measured, error) {
	m := &measured{name: string(o.Method)}
	if o.Window > 0 {
		m.name += fmt.Sprintf(" %dx%d", o.Window, o.Window)
	}
	chance := m.name == ""
	if chance {
		m.name = "chance"
	}
	rule := r.file.Meta.Rule()
	var explainers [3]*explain.Explainer
	for i, s := range []explain.Subject{r.subject, r.random, r.shuffled} {
		e, err := explain.New(s, o)
		if err != nil {
			return nil, err
		}
		explainers[i] = e
	}
	e := explainers[0]
	of := func(e *explain.Explainer, input []float32, label int) []float32 {
		if chance {
			out := make([]float32, e.Grid()*e.Grid())
			for i := range out {
				out[i] = r.random2.Float32()
			}
			return out
		}
		maps, err := e.Maps(input, 1, []explain.Score{{Label: label, Against: explain.Nothing}})
		if err != nil {
			log.Fatal(err)
		}
		return maps
	}
	for i, input := range r.inputs {
		logits := e.Logits(input, 1)
		answer, err := rule.Of(logits)
		if err != nil {
			return nil, err
		}
		label, classes := answer.Index, len(logits)
		start := time.Now()
		values := of(e, input, label)
		m.seconds += time.Since(start).Seconds()
		subject := faithful.Subject{Side: r.model.Image, Patch: r.model.Patch, Probabilities: func(inputs []float32, n int) []float64 {
			all, out, p := e.Logits(inputs, n), make([]float64, n), make([]float64, classes)
			for k := range out {
				rule.Probabilities(p, all[k*classes:(k+1)*classes])
				out[k] = p[label]
			}
			return out
		}}
		a, err := subject.Measure(input, values, steps)
		if err != nil {
			return nil, err
		}
		m.areas.Insertion += a.Insertion
		m.areas.Deletion += a.Deletion
		if region := r.regionOf(i, label); region != nil {
			p, err := subject.In(values, region)
			if err != nil {
				return nil, err
			}
			m.regions++
			m.mass += p.Mass
			m.area += p.Area
			if p.Hit {
				m.hit++
			}
		}
		if i >= r.checks {
			continue
		}
		m.weights += faithful.Rank(values, of(explainers[1], input, label))
		m.adapter += faithful.Rank(values, of(explainers[2], input, label))
		m.label += faithful.Rank(values, of(e, input, (label+1)%classes))
		m.right += faithful.Rank(values, of(e, faithful.Shift(input, r.model.Image, 1, 0), label))
		m.lower += faithful.Rank(values, of(e, faithful.Shift(input, r.model.Image, 0, 1), label))
	}
	return m, nil
}

// regionOf is where the finding of an image lies that a label is about; nil if that is not known.
func (r *run) regionOf(i, label int) []bool {
	switch regions := r.regions[i]; {
	case len(regions) == 1:
		return regions[0]
	case label < len(regions):
		return regions[label]
	}
	return nil
}

func (m *measured) print(images, checks int) {
	n, c, k := float64(images), math.Max(float64(checks), 1), math.Max(float64(m.regions), 1)
	place := "| | "
	if m.regions > 0 {
		place = fmt.Sprintf("| %.2f | %.2f (%.2f) ", m.hit/k, m.mass/k, m.area/k)
	}
	fmt.Printf("| %s | %.3f | %.3f | %.3f %s| %.2f | %.2f | %.2f | %.2f | %.2f | %.1f |\n", m.name, m.areas.Insertion/n, m.areas.Deletion/n,
		(m.areas.Insertion-m.areas.Deletion)/n, place, m.weights/c, m.adapter/c, m.label/c, m.right/c, m.lower/c, 1000*m.seconds/n)
}
