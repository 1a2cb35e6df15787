// Command load asks a server as fast as it answers (closed loop) or at a given rate (open loop), and reports throughput,
// latencies and failures. It speaks to melo by form, REST and gRPC, to bench/serving/fastapi/peer.py by form, and to Triton
// (bench/serving/triton) by REST and gRPC with prepared images. With it one sees, too, whether the same question always has the same answer. README.md has examples.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"time"
)

type options struct {
	target, protocol string
	token            string
	adapters         string
	pick             string
	zipf             float64
	images           string
	tensors          bool
	tolerance        float64
	clients          int
	rate             float64
	warm, duration   time.Duration
	every            time.Duration
	timeout          time.Duration
	seed             uint64
	out              string
}

func main() {
	var o options
	flag.StringVar(&o.target, "target", "http://127.0.0.1:8080", "address of the server; of gRPC host:port")
	flag.StringVar(&o.protocol, "protocol", "form", "form, rest or grpc")
	flag.StringVar(&o.token, "token", "", "bearer token")
	flag.StringVar(&o.adapters, "adapters", "", "names with commas between; task-%04d:1000 is a thousand")
	flag.StringVar(&o.pick, "pick", "uniform", "which adapter is asked: uniform, zipf or turn")
	flag.Float64Var(&o.zipf, "zipf", 1.1, "exponent of zipf, above 1")
	flag.StringVar(&o.images, "images", "", "image files, a pattern")
	flag.BoolVar(&o.tensors, "tensors", false, "-images are prepared already: float32 [3, side, side], little-endian; rest and grpc ask for their logits")
	flag.Float64Var(&o.tolerance, "tolerance", 0, "by how much of its largest number an answer may differ from the first to the same question")
	flag.IntVar(&o.clients, "clients", 4, "closed loop: requests at once")
	flag.Float64Var(&o.rate, "rate", 0, "open loop: requests a second, at random times; 0 is closed loop")
	flag.DurationVar(&o.warm, "warm", 2*time.Second, "time before what is counted")
	flag.DurationVar(&o.duration, "duration", 10*time.Second, "time that is counted")
	flag.DurationVar(&o.every, "every", 0, "print a line this often")
	flag.DurationVar(&o.timeout, "timeout", 30*time.Second, "of a request")
	flag.Uint64Var(&o.seed, "seed", 1, "of what is random")
	flag.StringVar(&o.out, "out", "", "file for the result in JSON; it is printed, too")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, &o); err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o *options) error {
	names, err := adapterNames(o.adapters)
	if err != nil {
		return err
	}
	images, err := readImages(o.images, o.tensors)
	if err != nil {
		return err
	}
	t, err := newTarget(o)
	if err != nil {
		return err
	}
	defer t.close()
	w := &work{options: o, target: t, names: names, images: images, seen: newConsistency(o.tolerance)}
	r, err := w.run(ctx)
	if err != nil {
		return err
	}
	body, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	fmt.Println(string(body))
	if o.out != "" {
		return os.WriteFile(o.out, append(body, '\n'), 0o666)
	}
	return nil
}

// adapterNames reads the list of names.
func adapterNames(list string) ([]string, error) {
	var names []string
	for _, s := range strings.Split(list, ",") {
		pattern, count, many := strings.Cut(s, ":")
		if !many {
			names = append(names, s)
			continue
		}
		var n int
		if _, err := fmt.Sscan(count, &n); err != nil || n < 1 || !strings.Contains(pattern, "%") {
			return nil, fmt.Errorf("-adapters %q: expected a name, or PATTERN:COUNT such as task-%%04d:1000", s)
		}
		for i := range n {
			names = append(names, fmt.Sprintf(pattern, i))
		}
	}
	if list == "" {
		return nil, fmt.Errorf("-adapters is missing")
	}
	return names, nil
}

// picture is an encoded image, or a prepared one.
type picture struct {
	name string
	data []byte
	side int // of a prepared one, whose data are float32 [3, side, side], little-endian; 0 is encoded
}

func readImages(pattern string, tensors bool) ([]picture, error) {
	paths, err := filepath.Glob(pattern)
	if err != nil || len(paths) == 0 {
		return nil, fmt.Errorf("-images %q: no files (%v)", pattern, err)
	}
	var list []picture
	for _, p := range paths {
		data, err := os.ReadFile(p)
		if err != nil {
			return nil, err
		}
		side := 0
		if tensors {
			if side = int(math.Sqrt(float64(len(data) / 12))); side == 0 || side*side*12 != len(data) {
				return nil, fmt.Errorf("%s: %d bytes, expected float32 [3, side, side]", p, len(data))
			}
		}
		list = append(list, picture{filepath.Base(p), data, side})
	}
	return list, nil
}
