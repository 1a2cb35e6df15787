package fit

import (
	"errors"
	"fmt"
	"math"
)

// DefaultRefusal is the share of an adapter's own images that may be called unlike.
const DefaultRefusal = 0.01

// MaxBytes bounds what a description takes in an adapter file.
const MaxBytes = 64 << 10

// MaxDirections bounds the rank of a covariance.
const MaxDirections = 64

// maxSize bounds what a file may claim.
const maxSize = 1 << 16

// Description is what the training images of an adapter look like: a Gaussian with a low-rank covariance, in units of Scale.
// Numbers are what a file holds: a description that was fitted is the one that is read back, bit for bit.
type Description struct {
	Size       int       // numbers of a summary
	Mean       []float32 // [Size]
	Scale      []float32 // [Size] what a number varies by
	Directions []int8    // [rank, Size] along which images vary together, orthonormal once multiplied by Steps
	Steps      []float32 // [rank] what 1 in a direction stands for
	Variances  []float32 // [rank] along the directions
	Rest       float32   // mean variance of what the directions leave
	Scores     []float32 // of images that it was not made of, ascending: quantiles 0 to 1 in equal steps
	Threshold  float64   // scores above are unlike
}

// Verdict is what a description says about one image.
type Verdict struct {
	// Unlike says that the image is not like the training images: no decision is to be made of the answer.
	Unlike bool `json:"unlike"`
	// Score is the distance from the training images: about 1 for one of their kind.
	Score float64 `json:"score"`
	// Percentile is the share of held-out images of the training's kind whose score is less, in percent.
	Percentile float64 `json:"percentile"`
}

// UnlikeError refuses an image that is not like those that an adapter was trained on.
type UnlikeError struct{ Verdict Verdict }

// Error says how far off the image is.
func (e *UnlikeError) Error() string {
	return fmt.Sprintf("the image is not like the training images of the adapter (score %.3g, further off than %.4g %% of such images): refused",
		e.Verdict.Score, e.Verdict.Percentile)
}

// Rank is the number of directions.
func (d *Description) Rank() int { return len(d.Steps) }

// Bytes is what the numbers take in a file.
func (d *Description) Bytes() int {
	return 4*(len(d.Mean)+len(d.Scale)+len(d.Steps)+len(d.Variances)+1+len(d.Scores)) + len(d.Directions)
}

// Validate refuses what cannot be.
func (d *Description) Validate() error {
	n, r := d.Size, d.Rank()
	switch {
	case n < 1 || n > maxSize || r > MaxDirections:
		return fmt.Errorf("fit: %d numbers and %d directions, expected at most %d and %d", n, r, maxSize, MaxDirections)
	case len(d.Mean) != n || len(d.Scale) != n || len(d.Directions) != n*r || len(d.Variances) != r || len(d.Scores) < 2:
		return errors.New("fit: the parts of the description do not belong together")
	case d.Bytes() > MaxBytes:
		return fmt.Errorf("fit: a description of %d bytes, expected at most %d", d.Bytes(), MaxBytes)
	case !(d.Threshold > 0) || math.IsInf(d.Threshold, 0):
		return fmt.Errorf("fit: threshold %v, expected a positive number", d.Threshold)
	}
	positive := func(values ...float32) bool {
		for _, v := range values {
			if !(v > 0) || math.IsInf(float64(v), 0) {
				return false
			}
		}
		return true
	}
	if !positive(d.Rest) || !positive(d.Scale...) || !positive(d.Variances...) || !positive(d.Steps...) {
		return errors.New("fit: a variance is not a positive number")
	}
	for i, v := range d.Mean {
		if v-v != 0 {
			return fmt.Errorf("fit: number %d of the mean is %v", i, v)
		}
	}
	for i, v := range d.Scores {
		if v-v != 0 || i > 0 && v < d.Scores[i-1] {
			return errors.New("fit: scores do not ascend")
		}
	}
	return nil
}

// Of returns the verdict about a summary [Size]. An image whose summary is no number is unlike.
func (d *Description) Of(summary []float32) Verdict {
	v := Verdict{Score: d.score(summary)}
	if !(v.Score <= math.MaxFloat32) {
		v.Score = math.MaxFloat32 // JSON has no infinity
	}
	v.Unlike, v.Percentile = v.Score > d.Threshold, d.percentile(v.Score)
	return v
}

// score is the Mahalanobis distance, squared, a number of the summary.
func (d *Description) score(summary []float32) float64 {
	if len(summary) != d.Size {
		panic(fmt.Sprintf("fit: a summary of %d numbers, expected %d", len(summary), d.Size))
	}
	z := make([]float64, d.Size)
	left := 0.0
	for i, x := range summary {
		z[i] = (float64(x) - float64(d.Mean[i])) / float64(d.Scale[i])
		left += z[i] * z[i]
	}
	sum := 0.0
	for r, step := range d.Steps {
		p := 0.0
		for i, q := range d.Directions[r*d.Size : (r+1)*d.Size] {
			p += z[i] * float64(q)
		}
		p *= float64(step)
		left -= p * p
		sum += p * p / float64(d.Variances[r])
	}
	return (sum + max(left, 0)/float64(d.Rest)) / float64(d.Size)
}

// percentile is where a score stands among those of held-out images, between the steps by proportion.
func (d *Description) percentile(score float64) float64 {
	last := len(d.Scores) - 1
	for i, q := range d.Scores {
		if score >= float64(q) {
			continue
		}
		if i == 0 {
			return 0
		}
		low := float64(d.Scores[i-1])
		return 100 * (float64(i-1) + (score-low)/(float64(q)-low)) / float64(last)
	}
	return 100
}
