package dataset

import (
	"context"
	"errors"
	"iter"
	"sync"
	"time"
)

// pending is a batch in preparation.
type pending struct {
	Batch
	errs []error // per sample
	left sync.WaitGroup
}

// job is one sample of a batch.
type job struct {
	p    *pending
	slot int
}

// errBusy is returned if an epoch is started while another one runs.
var errBusy = errors.New("dataset: loader: another epoch is running")

// Epoch yields the batches of an epoch in order. Workers prepare them ahead of time. A batch is valid until the
// next one. Iteration ends after an error, which names the file if one is at fault, and when ctx is cancelled.
// All batches but the last are full. One that lost samples to unreadable images (see [LoaderOptions.MaxBad]) is
// shorter, and one that lost all is omitted.
func (l *Loader) Epoch(ctx context.Context, epoch int) iter.Seq2[*Batch, error] {
	return l.EpochFrom(ctx, epoch, 0)
}

// EpochFrom is Epoch without the batches before number from, which are not loaded: a run that was stopped
// within an epoch continues there.
func (l *Loader) EpochFrom(ctx context.Context, epoch, from int) iter.Seq2[*Batch, error] {
	return func(yield func(*Batch, error) bool) {
		if !l.running.CompareAndSwap(false, true) {
			yield(nil, errBusy)
			return
		}
		defer l.running.Store(false)
		l.setOrder(epoch)
		ctx, cancel := context.WithCancel(ctx)
		var workers sync.WaitGroup
		defer workers.Wait()
		defer cancel()

		free, ready := l.buffers(), make(chan *pending, l.opt.Ahead+1)
		jobs := make(chan job, l.opt.Batch)
		workers.Go(func() { l.dispatch(ctx, from, free, ready, jobs) })
		for w := range l.workers {
			workers.Go(func() { l.work(ctx, &l.workers[w], epoch, jobs) })
		}
		l.deliver(ctx, free, ready, yield)
	}
}

// buffers returns the channel of free batches, filled with all of them.
func (l *Loader) buffers() chan *pending {
	if l.batches == nil {
		n := min(l.opt.Ahead+1, l.Batches())
		for range n {
			b := l.opt.Batch
			l.batches = append(l.batches, &pending{errs: make([]error, b), Batch: Batch{
				Indices: make([]int, b), Labels: make([]int, b),
				Images:  make([]float32, b*l.recipe.Values()),
				Targets: make([]float32, b*len(l.ds.Labels)),
			}})
		}
	}
	free := make(chan *pending, len(l.batches))
	for _, p := range l.batches {
		free <- p
	}
	return free
}

// dispatch cuts the order into batches and distributes their samples. Every sample counted in a batch becomes a
// job, even after ctx is cancelled, so that no one waits for ever.
func (l *Loader) dispatch(ctx context.Context, from int, free <-chan *pending, ready chan<- *pending, jobs chan<- job) {
	defer close(ready)
	defer close(jobs)
	for at := from * l.opt.Batch; at < len(l.order); at += l.opt.Batch {
		var p *pending
		select {
		case p = <-free:
		case <-ctx.Done():
			return
		}
		n := min(l.opt.Batch, len(l.order)-at)
		p.resize(n, l.recipe.Values(), len(l.ds.Labels))
		p.Number = at / l.opt.Batch
		copy(p.Indices, l.order[at:])
		p.left.Add(n)
		ready <- p // cannot block: the channel has room for every batch
		for slot := range n {
			jobs <- job{p, slot}
		}
	}
}

// work loads samples until there are no more. Once ctx is cancelled, loading returns at once.
func (l *Loader) work(ctx context.Context, w *worker, epoch int, jobs <-chan job) {
	values := l.recipe.Values()
	for j := range jobs {
		dst := j.p.Images[j.slot*values : (j.slot+1)*values]
		j.p.errs[j.slot] = l.load(ctx, w, j.p.Indices[j.slot], epoch, dst)
		j.p.left.Done()
	}
}

// deliver yields the batches in order as they are completed.
func (l *Loader) deliver(ctx context.Context, free chan<- *pending, ready <-chan *pending, yield func(*Batch, error) bool) {
	for {
		start := time.Now()
		p, ok := <-ready
		if ok {
			p.left.Wait()
		}
		l.wait.Add(int64(time.Since(start)))
		if err := ctx.Err(); err != nil {
			yield(nil, err)
			return
		}
		if !ok {
			return
		}
		if err := l.settle(p); err != nil {
			yield(nil, err)
			return
		}
		if p.N > 0 && !yield(&p.Batch, nil) {
			return
		}
		free <- p
	}
}

// settle removes failed samples, closes the gaps, and sets labels and targets.
func (l *Loader) settle(p *pending) error {
	values, labels := l.recipe.Values(), len(l.ds.Labels)
	n := 0
	for slot := range p.N {
		i := p.Indices[slot]
		if err := p.errs[slot]; err != nil {
			if err := l.refuse(i, err); err != nil {
				return err
			}
			continue
		}
		if n != slot {
			copy(p.Images[n*values:(n+1)*values], p.Images[slot*values:])
			p.Indices[n] = i
		}
		p.Labels[n] = l.ds.Samples[i].Label
		for k := range labels {
			p.Targets[n*labels+k] = 0
			switch {
			case l.ds.has(i, k):
				p.Targets[n*labels+k] = 1
			case l.ds.unknown(i, k):
				p.Targets[n*labels+k] = Unknown
			}
		}
		n++
	}
	p.resize(n, values, labels)
	return nil
}

// resize sets the number of samples, within the capacity.
func (p *pending) resize(n, values, labels int) {
	p.N = n
	p.Indices, p.Labels = p.Indices[:n], p.Labels[:n]
	p.Images, p.Targets, p.errs = p.Images[:n*values], p.Targets[:n*labels], p.errs[:n]
}
