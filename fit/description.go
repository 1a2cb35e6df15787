package fit

import (
	"errors"
	"fmt"
	"math"
)

// DefaultRefusal is the fraction of an adapter's own images that may be called unlike.
const DefaultRefusal = 0.01

// MaxBytes limits the size of a description in an adapter file.
const MaxBytes = 64 << 10

// MaxDirections limits the rank of a covariance.
const MaxDirections = 64

// maxSize limits the size that a file may claim.
const maxSize = 1 << 16

// Description describes the training images of an adapter by a Gaussian with a low-rank covariance, in units of
// Scale. Fields have the precision of the file, so that a fitted description equals the one read back, bit for
// bit.
type Description struct {
	Size       int       // values per summary
	Mean       []float32 // [Size]
	Scale      []float32 // [Size] standard deviation of each value
	Directions []int8    // [rank, Size] directions of largest variance, orthonormal after multiplying by Steps
	Steps      []float32 // [rank] value of 1 in a direction
	Variances  []float32 // [rank] variance along each direction
	Rest       float32   // mean variance in all other directions
	Scores     []float32 // quantiles 0 to 1, in equal steps, of the scores of held-out images
	Threshold  float64   // images with a higher score are unlike
}

// Verdict is the result for one image.
type Verdict struct {
	// Unlike says that the image does not resemble the training images, so the answer must not be used for a
	// decision.
	Unlike bool `json:"unlike"`
	// Score is the distance from the training images: about 1 for an image of the same kind.
	Score float64 `json:"score"`
	// Percentile is the percentage of held-out images of the training's kind that have a lower score.
	Percentile float64 `json:"percentile"`
}

// UnlikeError reports an image that does not resemble an adapter's training images.
type UnlikeError struct{ Verdict Verdict }

// Error gives the score of the image.
func (e *UnlikeError) Error() string {
	return fmt.Sprintf("the image is not like the training images of the adapter (score %.3g, further off than %.4g %% of such images): refused",
		e.Verdict.Score, e.Verdict.Percentile)
}

// Rank returns the number of directions.
func (d *Description) Rank() int { return len(d.Steps) }

// Bytes returns the size of the values in a file.
func (d *Description) Bytes() int {
	return 4*(len(d.Mean)+len(d.Scale)+len(d.Steps)+len(d.Variances)+1+len(d.Scores)) + len(d.Directions)
}

// Validate returns an error if d is not a valid description.
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

// Of returns the verdict for a summary [Size]. A summary with a value that is not finite is unlike.
func (d *Description) Of(summary []float32) Verdict {
	v := Verdict{Score: d.score(summary)}
	if !(v.Score <= math.MaxFloat32) {
		v.Score = math.MaxFloat32 // JSON has no infinity
	}
	v.Unlike, v.Percentile = v.Score > d.Threshold, d.percentile(v.Score)
	return v
}

// score returns the squared Mahalanobis distance divided by the number of values.
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

// percentile returns the percentile of a score among those of held-out images, interpolated linearly.
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
