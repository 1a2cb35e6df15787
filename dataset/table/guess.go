package table

import (
	"unicode"

	"golang.org/x/text/encoding/charmap"
)

// separators lists possible separators, in order of preference.
var separators = []byte{',', ';', '\t', '|'}

// Limits of the number and bytes of records that are examined to find the separator.
const (
	maxGuessed      = 50
	maxGuessedBytes = 256 << 10
)

// separator determines the separator: the first that occurs equally often in all of the first records, or else
// the first that occurs in the header.
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

// countSeparators counts each separator, outside quotes, in the first non-blank records. The result has at
// least one record.
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
	if len(records) > 1 { // the last record may be incomplete, or empty after the last newline
		records = records[:len(records)-1]
	}
	return records
}

// signs lists bytes that are not letters but may occur between letters in Latin-1 and Windows-1252: spaces,
// dashes, apostrophes.
var signs = map[byte]bool{0x92: true, 0x96: true, 0x97: true, 0xA0: true, 0xAD: true, 0xB0: true, 0xB1: true, 0xB4: true, 0xB7: true, 0xD7: true, 0xF7: true}

// plausible reports whether bytes that are not UTF-8 may be text in Windows-1252. Accented letters occur there
// singly among plain letters. Long runs of them, isolated pairs, capitals within words and signs between
// letters indicate other alphabets or encodings. One in ten may be odd.
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
