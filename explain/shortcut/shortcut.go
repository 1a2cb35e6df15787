package shortcut

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
)

// Image is what is known of one image: its map, the places in it, and how probable the answer's label is when patches are covered.
type Image struct {
	Label int                              // that was answered, and explained
	Map   []float32                        // of a grid; what is negative counts for nothing
	Zones map[Place]Zone                   // of the same grid
	Cover func(patches ...[]int) []float64 // the probability of Label when each of the lists of patches is covered; an empty list is the image as it is
}

// Search looks at images one after the other.
type Search struct {
	labels int
	grid   int
	random *rand.Rand
	seen   []seen
	sums   [][]float64 // of the maps of each label, each map scaled to a sum of 1
	counts []int
}

// seen is what one image gave.
type seen struct {
	label int
	at    map[Place]measured
}

// measured is what a place of one image gave.
type measured struct {
	area, share   float64 // of the grid, and of the map
	drop, control float64 // what the probability loses when the place is covered, or as many patches elsewhere
	flipped       bool    // it loses more than half of what it was
}

// NewSearch begins a search among adapters' answers with so many labels, with maps of grid x grid patches.
func NewSearch(labels, grid int) *Search {
	s := &Search{labels: labels, grid: grid, random: rand.New(rand.NewPCG(1, 7)), counts: make([]int, labels)}
	for range labels {
		s.sums = append(s.sums, make([]float64, grid*grid))
	}
	return s
}

// Add looks at an image. Those whose map is nothing but zeros tell nothing.
func (s *Search) Add(x Image) error {
	if x.Label < 0 || x.Label >= s.labels || len(x.Map) != s.grid*s.grid {
		return fmt.Errorf("shortcut: label %d of %d, a map of %d values, expected %d", x.Label, s.labels, len(x.Map), s.grid*s.grid)
	}
	total := 0.0
	for _, v := range x.Map {
		total += float64(max(v, 0))
	}
	if total == 0 {
		return nil
	}
	for i, v := range x.Map {
		s.sums[x.Label][i] += float64(max(v, 0)) / total
	}
	s.counts[x.Label]++
	lists, places := [][]int{nil}, []Place{}
	one := seen{label: x.Label, at: map[Place]measured{}}
	for _, p := range Places() {
		zone := x.Zones[p]
		if zone == nil {
			continue
		}
		m := measured{area: zone.area()}
		for i, v := range x.Map {
			m.share += float64(max(v, 0)) / total * zone[i]
		}
		one.at[p] = m
		cover := zone.patches()
		places, lists = append(places, p), append(lists, cover, s.elsewhere(cover))
	}
	probabilities := x.Cover(lists...)
	for k, p := range places {
		m := one.at[p]
		m.drop, m.control = probabilities[0]-probabilities[2*k+1], probabilities[0]-probabilities[2*k+2]
		m.flipped = probabilities[2*k+1] < probabilities[0]/2
		one.at[p] = m
	}
	s.seen = append(s.seen, one)
	return nil
}

// elsewhere are as many patches that are not in the list; all others if there are fewer.
func (s *Search) elsewhere(list []int) []int {
	var rest []int
	for _, i := range s.random.Perm(s.grid * s.grid) {
		if len(rest) < len(list) && !slices.Contains(list, i) {
			rest = append(rest, i)
		}
	}
	return rest
}

// Finding is what a place came to, over all images that have it or those of one answer.
type Finding struct {
	Place  Place  `json:"place"`
	Label  string `json:"label"`  // of the answers; empty: all
	Images int    `json:"images"` // that have the place
	// Area is the place's mean share of the image, Share that of the maps: without a reason to look there they are alike.
	Area          float64     `json:"area"`
	Share         float64     `json:"share"`
	ShareInterval *[2]float64 `json:"share_ci"`
	// Drop is what the probability of the answer loses on average when the place is covered with the image's mean colour, beyond what
	// it loses when as many patches are covered elsewhere.
	Drop         float64     `json:"drop"`
	DropInterval *[2]float64 `json:"drop_ci"`
	Flipped      float64     `json:"flipped"` // share of the images whose answer loses more than half of its probability
	Suspicious   bool        `json:"suspicious"`
}

// Findings are what a search came to.
type Findings struct {
	Images     int       `json:"images"` // that were looked at
	Method     string    `json:"method"` // of the maps
	Places     []Finding `json:"places"`
	Suspicious bool      `json:"suspicious"` // one of the places is
	// Grid is the side of Mean: the mean map of the answers with each label, row by row, of a sum of 1; empty for labels that were never answered.
	Grid int         `json:"grid"`
	Mean [][]float64 `json:"mean"`
}

// leastImages is how many images a finding needs to be suspicious.
const leastImages = 8

// A place is suspicious if maps have LeastShare times its area of it, and covering it takes LeastDrop of the probability beyond what
// covering as much elsewhere takes: the first and that the second is above 0 both beyond chance.
const (
	LeastShare = 1.5
	LeastDrop  = 0.1
)

// Findings returns what was found: for each place over all answers, and for the answers with each label.
func (s *Search) Findings(labels []string, method string) *Findings {
	f := &Findings{Images: len(s.seen), Method: method, Places: []Finding{}, Grid: s.grid}
	tests := len(Places()) * (s.labels + 1)
	for _, p := range Places() {
		for l := -1; l < s.labels; l++ {
			x := s.finding(p, l, tests)
			if x.Images == 0 {
				continue
			}
			if l >= 0 && l < len(labels) {
				x.Label = labels[l]
			}
			f.Places = append(f.Places, x)
			f.Suspicious = f.Suspicious || x.Suspicious
		}
	}
	for l, sum := range s.sums {
		mean := []float64{}
		for _, v := range sum {
			if s.counts[l] > 0 {
				mean = append(mean, v/float64(s.counts[l]))
			}
		}
		f.Mean = append(f.Mean, mean)
	}
	return f
}

// finding measures a place for the answers with a label, or all where that is below 0. tests is how many of these there are, among which
// one may be suspicious by chance.
func (s *Search) finding(p Place, label, tests int) Finding {
	x := Finding{Place: p}
	var shares, excess, drops []float64
	for i := range s.seen {
		m, ok := s.seen[i].at[p]
		if !ok || label >= 0 && s.seen[i].label != label {
			continue
		}
		x.Images++
		x.Area += m.area
		if m.flipped {
			x.Flipped++
		}
		shares, excess, drops = append(shares, m.share), append(excess, m.share-LeastShare*m.area), append(drops, m.drop-m.control)
	}
	if x.Images == 0 {
		return x
	}
	n := float64(x.Images)
	x.Area, x.Flipped = x.Area/n, x.Flipped/n
	x.Share, x.ShareInterval = meanWithInterval(shares, 1)
	x.Drop, x.DropInterval = meanWithInterval(drops, 1)
	_, above := meanWithInterval(excess, tests)
	_, lost := meanWithInterval(drops, tests)
	x.Suspicious = x.Images >= leastImages && above != nil && above[0] > 0 && lost != nil && lost[0] > 0 && x.Drop >= LeastDrop
	return x
}

// meanWithInterval is a mean with its 95 % interval by the normal distribution, widened for so many tests (Bonferroni); nil of fewer than two.
func meanWithInterval(v []float64, tests int) (mean float64, interval *[2]float64) {
	n := float64(len(v))
	for _, x := range v {
		mean += x / n
	}
	if len(v) < 2 {
		return mean, nil
	}
	square := 0.0
	for _, x := range v {
		square += (x - mean) * (x - mean) / (n - 1)
	}
	z := math.Sqrt2 * math.Erfinv(1-0.05/float64(tests))
	half := z * math.Sqrt(square/n)
	return mean, &[2]float64{mean - half, mean + half}
}
