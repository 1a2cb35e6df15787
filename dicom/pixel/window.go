package pixel

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"melo.example/melo/dicom"
)

// Window selects how measured values become grey values. The zero value uses the object's own settings: its VOI
// LUT, else its first window, else the range of the image.
type Window struct {
	Mode   WindowMode
	Center float64 // for WindowValues, in units after the modality LUT (Hounsfield units of a CT)
	Width  float64
	Name   string // for WindowNamed: an explanation ("LUNG") or a position ("#2")
}

// WindowMode is a way to choose grey values.
type WindowMode uint8

// The ways to choose grey values.
const (
	WindowObject WindowMode = iota // the object's VOI LUT, first window, or the range of the image
	WindowFull                     // all values that the stored bits can represent
	WindowRange                    // from the lowest to the highest value in the image
	WindowNamed                    // one of the object's windows, by explanation or position
	WindowValues                   // a centre and a width
)

// ParseWindow parses "", "full", "range", "CENTER,WIDTH", "#2" or the explanation of a window.
func ParseWindow(text string) (Window, error) {
	text = strings.TrimSpace(text)
	switch strings.ToLower(text) {
	case "", "object":
		return Window{}, nil
	case "full":
		return Window{Mode: WindowFull}, nil
	case "range":
		return Window{Mode: WindowRange}, nil
	}
	center, width, ok := strings.Cut(text, ",")
	if !ok {
		return Window{Mode: WindowNamed, Name: text}, nil
	}
	c, err1 := strconv.ParseFloat(strings.TrimSpace(center), 64)
	w, err2 := strconv.ParseFloat(strings.TrimSpace(width), 64)
	if err1 != nil || err2 != nil || math.IsNaN(c) || math.IsInf(c, 0) || !(w >= 1) || math.IsInf(w, 0) {
		return Window{}, errorf("window %q: expected CENTER,WIDTH with a width of at least 1, as in 40,400", text)
	}
	return Window{Mode: WindowValues, Center: c, Width: w}, nil
}

// String formats w so that [ParseWindow] can parse it.
func (w Window) String() string {
	switch w.Mode {
	case WindowFull:
		return "full"
	case WindowRange:
		return "range"
	case WindowNamed:
		return w.Name
	case WindowValues:
		return fmt.Sprintf("%g,%g", w.Center, w.Width)
	}
	return ""
}

// curve maps a value after the modality LUT to [0, 1].
type curve struct {
	at   func(x float64) float64
	what string // description for people
}

// curveOf chooses the curve of a frame. values returns the range of the image after the modality LUT; it is
// called only if the choice depends on it.
func (d *Description) curveOf(w Window, i int, values func() (lo, hi float64)) (curve, error) {
	group := d.group(i, dicom.FrameVOILUTSequence)
	switch w.Mode {
	case WindowValues:
		return windowCurve(w.Center, w.Width, "LINEAR")
	case WindowFull:
		lo, hi := d.fullRange(i)
		return rangeCurve(lo, hi, "full range"), nil
	case WindowRange:
		lo, hi := values()
		return rangeCurve(lo, hi, "range of the image"), nil
	case WindowNamed:
		return d.named(w.Name, group)
	}
	if lut, err := d.voiLUT(group, i); err != nil || lut.at != nil {
		return lut, err
	}
	if centers, widths, err := windows(group); err != nil {
		d.note("%v: the range of the image is taken", err)
	} else if len(centers) > 0 {
		c, err := windowCurve(centers[0], widths[0], group.Text(dicom.VOILUTFunction))
		if err == nil {
			return c, nil
		}
		d.note("%v: the range of the image is taken", err)
	}
	if d.Stored <= 8 && !d.Float && !d.rescaled(i) {
		lo, hi := d.fullRange(i)
		return rangeCurve(lo, hi, "no window: full range of 8 bits"), nil
	}
	lo, hi := values()
	return rangeCurve(lo, hi, "no window: range of the image"), nil
}

// named finds a window by its explanation, ignoring case, or by its position as in "#2".
func (d *Description) named(name string, group *dicom.DataSet) (curve, error) {
	centers, widths, err := windows(group)
	if err != nil {
		return curve{}, err
	}
	names := group.Texts(dicom.WindowExplanation)
	for k := range centers {
		if name == fmt.Sprintf("#%d", k+1) || k < len(names) && strings.EqualFold(strings.TrimSpace(names[k]), name) {
			return windowCurve(centers[k], widths[k], group.Text(dicom.VOILUTFunction))
		}
	}
	return curve{}, errorf("no window named %q: the object has %d, named %q", name, len(centers), names)
}

// windows reads the centres and widths of a data set.
func windows(group *dicom.DataSet) (centers, widths []float64, err error) {
	if len(group.Texts(dicom.WindowCenter)) == 0 && group.Find(dicom.WindowCenter) == nil {
		return nil, nil, nil
	}
	if centers, err = group.Floats(dicom.WindowCenter); err != nil {
		if len(group.Bytes(dicom.WindowCenter)) == 0 {
			return nil, nil, nil
		}
		return nil, nil, err
	}
	if widths, err = group.Floats(dicom.WindowWidth); err != nil {
		return nil, nil, err
	}
	if len(centers) != len(widths) {
		return nil, nil, fmt.Errorf("%d window centres and %d widths", len(centers), len(widths))
	}
	return centers, widths, nil
}

// windowCurve is a VOI LUT function (PS3.3, C.11.2.1.2 and C.11.2.1.3).
func windowCurve(c, w float64, function string) (curve, error) {
	what := fmt.Sprintf("window %g,%g", c, w)
	switch function {
	case "", "LINEAR":
		if w < 1 {
			return curve{}, fmt.Errorf("window width %g, expected at least 1", w)
		}
		lo, hi := c-0.5-(w-1)/2, c-0.5+(w-1)/2
		return curve{func(x float64) float64 {
			switch {
			case x <= lo:
				return 0
			case x > hi:
				return 1
			}
			return (x-(c-0.5))/(w-1) + 0.5
		}, what}, nil
	case "LINEAR_EXACT":
		if w <= 0 {
			return curve{}, fmt.Errorf("window width %g, expected above 0", w)
		}
		return curve{func(x float64) float64 { return min(max((x-c)/w+0.5, 0), 1) }, what + " (linear exact)"}, nil
	case "SIGMOID":
		if w <= 0 {
			return curve{}, fmt.Errorf("window width %g, expected above 0", w)
		}
		return curve{func(x float64) float64 { return 1 / (1 + math.Exp(-4*(x-c)/w)) }, what + " (sigmoid)"}, nil
	}
	return curve{}, fmt.Errorf("VOI LUT function %q is not known", function)
}

// rangeCurve maps lo to 0 and hi to 1. An image with a single value becomes black.
func rangeCurve(lo, hi float64, what string) curve {
	if !(hi > lo) {
		return curve{func(float64) float64 { return 0 }, what}
	}
	return curve{func(x float64) float64 { return min(max((x-lo)/(hi-lo), 0), 1) }, what}
}

// voiLUT reads the first VOI LUT of a data set, for frame i. If there is none, at is nil.
func (d *Description) voiLUT(group *dicom.DataSet, i int) (curve, error) {
	items := group.Items(dicom.VOILUTSequence)
	if len(items) == 0 {
		return curve{}, nil
	}
	t, err := readTable(items[0], dicom.LUTDescriptor, dicom.LUTData, d.Signed)
	if err != nil {
		return curve{}, errorf("VOI LUT: %w", err)
	}
	// The table maps measured values. An unsigned first value above all of them stands for a negative one.
	if lo, hi := d.fullRange(i); lo < 0 && t.first > math.MaxInt16 && float64(t.first) > hi {
		t.first = int64(int16(t.first))
	}
	top := float64(uint64(1)<<t.bits - 1)
	what := "VOI LUT"
	if name := items[0].Text(dicom.LUTExplanation); name != "" {
		what = "VOI LUT " + strconv.Quote(name)
	}
	return curve{func(x float64) float64 { return min(float64(t.at(int64(math.Floor(x))))/top, 1) }, what}, nil
}

// group returns the data set that describes frame i in a functional group: that of the frame, that shared by
// all frames, or the object itself.
func (d *Description) group(i int, t dicom.Tag) *dicom.DataSet {
	if frames := d.data.Items(dicom.PerFrameFunctionalGroups); i < len(frames) {
		if items := frames[i].Items(t); len(items) > 0 {
			return items[0]
		}
	}
	if shared := d.data.Items(dicom.SharedFunctionalGroups); len(shared) > 0 {
		if items := shared[0].Items(t); len(items) > 0 {
			return items[0]
		}
	}
	return d.data
}
