package report

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"sync"
)

// script is what a page does for those who point at it. It holds neither "</" nor an address.
//
//go:embed script.js
var script string

// scriptHash names the script in the content security policy of a page: no other runs.
var scriptHash = sync.OnceValue(func() string {
	sum := sha256.Sum256([]byte(script))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
})
