// Package fit detects images that do not resemble the training images of an adapter. An adapter file holds a
// [Description] of the training images: mean and low-rank covariance of a summary of the features halfway
// through the network. The score of an image is its distance from that distribution. A threshold on the score
// decides; it is chosen on held-out images, so that a given fraction of the adapter's own images is called
// unlike (docs/adr/0058-is-this-picture-mine.md).
package fit
