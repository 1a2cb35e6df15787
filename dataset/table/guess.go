package table

import (
	"unicode"

	"golang.org/x/text/encoding/charmap"
)

// separators are what may stand between cells, the usual one first.
var separators = []byte{',', ';', '\t', '|'}

// maxGuessed bounds the records that are looked at to find the separator, and their bytes.
const (
	maxGuessed      = 50
	maxGuessedBytes = 256 << 10
)

// separator finds what stands between cells: the first that all of the first records have equally often, or else the first
// that is in the header.
func separator(data []byte) rune {
	records := countSeparators(data[:min(len(data), maxGuessedBytes)])
	for k, sep := range separators {
		same := records[0][k] > 0
		for _, r := range records {
			same = same && r[k] == records[0][k]
		}
		if same {
			return rune(sep)
		}
	}
	for k, sep := range separators {
		if records[0][k] > 0 {
			return rune(sep)
		}
	}
	return ','
}

// countSeparators counts each separator in the first records that are not blank, outside of quotes. There is one at least.
func countSeparators(data []byte) [][4]int {
	records := [][4]int{{}}
	quoted, blank := false, true
	for _, b := range data {
		last := &records[len(records)-1]
		switch {
		case b == '"':
			quoted, blank = !quoted, false
		case quoted:
		case b == '\n':
			if blank {
				*last = [4]int{}
				continue
			}
			if len(records) == maxGuessed {
				return records
			}
			records, blank = append(records, [4]int{}), true
		default:
			for k, sep := range separators {
				if b == sep {
					last[k]++
				}
			}
			blank = blank && (b == ' ' || b == '\r' || b == '\t' || b == ',' || b == ';' || b == '|')
		}
	}
	if len(records) > 1 { // the last may be cut, or is what follows the last line
		records = records[:len(records)-1]
	}
	return records
}

// signs are what may stand between letters in Latin-1 and Windows-1252, and is no letter: spaces, dashes, apostrophes.
var signs = map[byte]bool{0x92: true, 0x96: true, 0x97: true, 0xA0: true, 0xAD: true, 0xB0: true, 0xB1: true, 0xB4: true, 0xB7: true, 0xD7: true, 0xF7: true}

// plausible tells whether bytes that are not UTF-8 may be text in Windows-1252. Letters with marks stand singly among plain
// letters there. Long runs of them, pairs by themselves, capitals within words and signs between letters are other
// alphabets, or letters of other systems. One in ten may be odd.
func plausible(data []byte) bool {
	at := func(i int) byte {
		if i < 0 || i >= len(data) {
			return 0
		}
		return data[i]
	}
	plain := func(b byte) bool { return b|0x20 >= 'a' && b|0x20 <= 'z' }
	lower := func(b byte) bool { return b >= 'a' && b <= 'z' }
	all, odd := 0, 0
	for i := 0; i < len(data); i++ {
		if data[i] < 0x80 {
			continue
		}
		end := i
		for end < len(data) && data[end] >= 0x80 {
			end++
		}
		n, before, after := end-i, at(i-1), at(end)
		r := charmap.Windows1252.DecodeByte(data[i])
		all += n
		switch {
		case n > 2 || n == 2 && !plain(before) && !plain(after):
			odd += n
		case n == 1 && plain(before) && plain(after) && !unicode.IsLetter(r) && !signs[data[i]]:
			odd++
		case n == 1 && lower(before) && lower(after) && unicode.IsUpper(r):
			odd++
		}
		i = end
	}
	return 10*odd <= all
}
