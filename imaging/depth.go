package imaging

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Values of [Recipe.Depth]; the third form is "bits=N".
const (
	DepthStored  = ""    // 65535 is white: 16-bit samples as stored
	DepthMaximum = "max" // the largest sample of each image is white
	depthBits    = "bits="
)

// ParseDepth parses the form of [Recipe.Depth] that users write: "stored" or "", "max", or "bits=8" to
// "bits=16".
func ParseDepth(s string) (string, error) {
	if s == "stored" {
		s = DepthStored
	}
	if _, err := depthWhite(s); err != nil {
		return "", errorf("%w", err)
	}
	return s, nil
}

// depthWhite returns the sample that counts as white, or 0 if it depends on the image.
func depthWhite(depth string) (int, error) {
	switch depth {
	case DepthStored:
		return math.MaxUint16, nil
	case DepthMaximum:
		return 0, nil
	}
	if digits, ok := strings.CutPrefix(depth, depthBits); ok {
		if n, err := strconv.Atoi(digits); err == nil && n >= 8 && n <= 16 && digits == strconv.Itoa(n) {
			return 1<<n - 1, nil
		}
	}
	return 0, fmt.Errorf("depth %q: expected stored, max, or bits=8 to bits=16", depth)
}

// white returns the sample of img that is white according to the recipe. If no stretching is needed it is the
// maximum of the sample type.
func (r Recipe) white(img *Image) (int, error) {
	if img.Bits != 16 {
		return math.MaxUint8, nil
	}
	if img.Source.Format == formatDICOM {
		return math.MaxUint16, nil
	}
	white, err := depthWhite(r.Depth)
	switch {
	case err != nil:
		return 0, err
	case white == 0:
		return max(int(img.Max()), 1), nil
	case img.Source.Unscaled && r.Depth == DepthStored:
		return 0, errorf("%d-bit samples, up to %d here, of which none is white by itself: choose a depth: max, or bits=8 to bits=16",
			img.Source.Bits, img.Max())
	case white == math.MaxUint16, img.Source.Float, img.Source.Bits > 8 && img.Source.Bits < 16:
		return math.MaxUint16, nil // the file defines white
	}
	if most := int(img.Max()); most > white {
		return 0, errorf("a sample is %d, more than the %d of %s: the image has more bits than the recipe says", most, white, r.Depth)
	}
	return white, nil
}

// stretch maps white to the largest 16-bit sample.
func stretch(img *Image, white int) {
	if img.Bits != 16 || white == math.MaxUint16 {
		return
	}
	half := uint64(white / 2)
	for i, v := range img.Pix16 {
		// Resizing can overshoot at edges. Values are clipped at white, as they are in full-range images.
		img.Pix16[i] = uint16(min((uint64(v)*math.MaxUint16+half)/uint64(white), math.MaxUint16))
	}
}
