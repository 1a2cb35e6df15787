package access

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Issued is a token that was made, as "melo --json token new" prints it.
type Issued struct {
	Name     string   `json:"name"`
	Role     string   `json:"role"`
	Adapters []string `json:"adapters,omitempty"` // that it may know of; absent: all
	Token    string   `json:"token"`
	Line     string   `json:"line"` // for the token file
}

// Issue makes a token for a client. adapters are the only ones that a viewer may know of, none of them is all; expires is the last
// day of the token, a time in RFC 3339, or nothing.
func Issue(name, role string, adapters []string, expires string) (*Issued, error) {
	if err := CheckName(name); err != nil {
		return nil, err
	}
	r, err := ParseRole(role)
	if err != nil {
		return nil, err
	}
	token, hash := NewToken()
	line := fmt.Sprintf("%s %v %s", name, r, hash)
	if expires != "" {
		t, err := expiry(expires)
		if err != nil {
			return nil, err
		}
		line += " expires=" + t.Format(time.RFC3339)
	}
	if len(adapters) > 0 {
		if r != Viewer {
			return nil, errors.New("--adapters is for viewers: who may change adapters sees them all")
		}
		var names []string
		for _, name := range adapters {
			names = append(names, EscapeName(name))
		}
		list := strings.Join(names, ",")
		if _, err := ParseNames(list); err != nil {
			return nil, fmt.Errorf("--adapters: %w", err)
		}
		line += " adapters=" + list
	}
	return &Issued{name, r.String(), adapters, token, line}, nil
}

// expiry is when a token ends: at the end of a day, or at a time.
func expiry(text string) (time.Time, error) {
	if day, err := time.ParseInLocation(time.DateOnly, text, time.Local); err == nil {
		return day.AddDate(0, 0, 1), nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return t, fmt.Errorf("--expires %.40q, expected a day such as 2027-01-31 or a time in RFC 3339", text)
	}
	return t, nil
}
