package phantom

import (
	"fmt"
	"image"
)

// Size is the side of every picture, in pixels.
const Size = 128

// Task is one kind of picture and what there is to tell about it.
type Task struct {
	Name      string   // one word
	Title     string   // what the pictures look like; it begins with "synthetic"
	StandsFor string   // the data of the paper whose place the task takes
	Labels    []string // sorted; of the binary tasks the second is the positive one
	Multi     bool     // a picture has any number of the labels; else exactly one
	Grouped   bool     // a patient has several pictures
	Chiral    bool     // mirroring a picture makes it one that cannot be

	number uint64 // of the task, for the streams of random numbers
	draw   func(t *Task, seed uint64, i int) Picture
}

// Picture is one drawing with the truth about it.
type Picture struct {
	Image   image.Image // Size x Size; *image.Gray or *image.RGBA without transparency
	Label   int         // index into Task.Labels; -1 if Task.Multi
	Targets []bool      // one a label if Task.Multi, else nil
	Patient int         // number of the imagined patient
	// Region is where the finding lies that the label is about, Size x Size, row by row; nil if there is none, and if
	// Task.Multi.
	Region []bool
	// Regions are those of the labels if Task.Multi: nil of a label that the picture has not.
	Regions [][]bool
}

// Tasks returns the four tasks, in the order of the paper's data sets.
func Tasks() []*Task {
	return []*Task{
		{
			Name: "chest", Title: "synthetic chest films, five findings", StandsFor: "NIH ChestX-ray14", number: 1,
			Labels: chestLabels, Multi: true, Chiral: true,
			draw: func(t *Task, seed uint64, i int) Picture {
				img, has, regions := drawChest(newRandom(seed, t.number, uint64(i)), Size)
				return Picture{Image: img, Label: -1, Targets: has, Patient: i, Regions: regions}
			},
		},
		{
			Name: "tb", Title: "synthetic chest films, tuberculosis-like or normal", StandsFor: "Shenzhen chest films", number: 2,
			Labels: tbLabels, Chiral: true,
			draw: func(t *Task, seed uint64, i int) Picture {
				img, label, region := drawTB(newRandom(seed, t.number, uint64(i)), Size)
				return Picture{Image: img, Label: label, Patient: i, Region: region}
			},
		},
		{
			Name: "breast", Title: "synthetic mammograms, benign- or malignant-looking mass", StandsFor: "INbreast", number: 3,
			Labels: breastLabels, Grouped: true,
			draw: func(t *Task, seed uint64, i int) Picture {
				patient := newRandom(seed, t.number, uint64(i/2))
				img, label, region := drawBreast(patient, newRandom(seed, t.number, uint64(i/2), uint64(i%2)+1), i%2 == 1, Size)
				return Picture{Image: img, Label: label, Patient: i / 2, Region: region}
			},
		},
		{
			Name: "blood", Title: "synthetic blood cells of four types", StandsFor: "Blood Cell", number: 4,
			Labels: bloodLabels,
			draw: func(t *Task, seed uint64, i int) Picture {
				img, label, region := drawBlood(newRandom(seed, t.number, uint64(i)), Size)
				return Picture{Image: img, Label: label, Patient: i, Region: region}
			},
		},
	}
}

// Find returns the task with a name.
func Find(name string) (*Task, error) {
	var names []string
	for _, t := range Tasks() {
		if t.Name == name {
			return t, nil
		}
		names = append(names, t.Name)
	}
	return nil, fmt.Errorf("phantom: no task %q: expected one of %v", name, names)
}

// Draw returns picture number i, from 0, of a seed. It may be called from several goroutines.
func (t *Task) Draw(seed uint64, i int) Picture { return t.draw(t, seed, i) }

// LabelsOf names the labels that a picture has.
func (t *Task) LabelsOf(p Picture) []string {
	if !t.Multi {
		return []string{t.Labels[p.Label]}
	}
	var names []string
	for l, has := range p.Targets {
		if has {
			names = append(names, t.Labels[l])
		}
	}
	return names
}
