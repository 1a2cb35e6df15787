package dataset

import (
	"fmt"
	"math/bits"
	"slices"
	"strings"
)

// scaleOf returns the bits of its samples that an image uses: 8 for 8-bit images, else the smallest of 10, 12,
// 14 and 16 that holds its largest sample. It returns 0 if nothing needs to be decided, as for DICOM objects,
// which have a window.
func scaleOf(x *ImageInfo) int {
	if x.Err != nil || x.Format == "DICOM" {
		return 0
	}
	if x.Bits == 8 {
		return 8
	}
	for _, n := range []int{10, 12, 14} {
		if bits.Len16(x.Max) <= n {
			return n
		}
	}
	return 16
}

// Depth returns the number of images that use 8, 10, 12, 14 or 16 bits, after Scan.
func (d *Dataset) Depth() map[int]int {
	count := map[int]int{}
	for i := range d.infos {
		if s := scaleOf(&d.infos[i]); s > 0 {
			count[s]++
		}
	}
	return count
}

// fewOfDepth is the number of images of a label below which their depth is not significant.
const fewOfDepth = 5

// checkDepth returns an error if the depth of images predicts their label, because a model would learn that. It
// warns about images that use only part of their range if no option covers them.
func (d *Dataset) checkDepth(decided string) error {
	count := d.Depth()
	if decided != "" || len(count) == 0 || len(count) == 1 && count[8]+count[16] > 0 {
		return nil
	}
	most := make([]map[int]int, len(d.Labels)) // number of images per label, by whether they have more than 8 bits
	range16 := make([]int, len(d.Labels))
	for l := range d.Labels {
		most[l] = map[int]int{}
		var scales []int
		for i := range d.infos {
			if s := scaleOf(&d.infos[i]); s > 0 && d.has(i, l) {
				most[l][min(s, 9)]++
				if s > 8 {
					scales = append(scales, s)
				}
			}
		}
		range16[l] = usualScale(scales)
	}
	var told []string
	for l, name := range d.Labels {
		n := most[l][8] + most[l][9]
		if n < fewOfDepth {
			continue
		}
		what := fmt.Sprintf("%d of 16 bits used", range16[l])
		if 10*most[l][8] >= 9*n {
			what = "8 bits"
		} else if 10*most[l][9] < 9*n {
			what = "8 and more bits"
		}
		told = append(told, fmt.Sprintf("%s: %s", name, what))
	}
	if kinds := kindsOf(told); len(kinds) > 1 {
		return d.badf("the depth of the images tells the label (%s), and a model would learn that: decide with --depth (max: the greatest sample of an image is white; bits=12; stored: as it is)",
			strings.Join(told[:min(len(told), 10)], ", "))
	}
	deep, low, top := 0, 0, 0
	for s, n := range count {
		if s > 8 {
			deep += n
		}
		if s > 8 && s < 16 {
			low += n
			top = max(top, s)
		}
	}
	if low > 0 && 2*low >= deep {
		which := ""
		if low < deep {
			which = fmt.Sprintf("%d of %d ", low, deep)
		}
		d.warnOnce(fmt.Sprintf("%simages of 16 bits use at most %d of them: as stored they are dark, at 1/%d of the range (--depth bits=%d, or max)", which, top, 1<<(16-top), top))
	}
	if count[8] > 0 && len(count) > 1 {
		d.warnOnce(fmt.Sprintf("%d images have 8 bits, %d more: --depth says what is white in the latter", count[8], len(d.infos)-count[8]))
	}
	return nil
}

// usualScale returns the smallest scale that holds three quarters of the images. Dark images of full depth also
// have small samples, and a single image of another depth says nothing about a label.
func usualScale(scales []int) int {
	if len(scales) == 0 {
		return 0
	}
	slices.Sort(scales)
	return scales[(3*len(scales)+3)/4-1]
}

// kindsOf returns the distinct texts after the names.
func kindsOf(told []string) []string {
	var kinds []string
	for _, t := range told {
		kinds = append(kinds, t[strings.LastIndex(t, ": ")+2:])
	}
	slices.Sort(kinds)
	return slices.Compact(kinds)
}
