// Package fit answers "is this picture like those that an adapter was trained on?". An adapter file holds a [Description] of
// its training images: their mean and a low-rank covariance of what the first half of the network makes of them. The
// score of an image is its distance from that, and a threshold says which scores are unlike: it was chosen on images that
// the description was not made of, so that a stated share of the adapter's own images is refused
// (docs/adr/0058-is-this-picture-mine.md).
package fit
