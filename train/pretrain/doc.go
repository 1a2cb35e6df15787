// Package pretrain trains a small backbone from scratch on images drawn by formula (package
// internal/formula): no photograph, and nobody's data, is in it. See docs/base.md.
package pretrain
