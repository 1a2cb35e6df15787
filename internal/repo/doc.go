// Package repo tests the repository itself: who may import whom, what is documented, which calls stay
// in which place, and that the documents name things that exist. It has no code of its own; every rule
// is a test whose message says why the rule is there.
package repo
