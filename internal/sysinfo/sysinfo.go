// Package sysinfo describes the machine: CPU, memory, free disk space. Values that the system does not provide
// are zero or empty.
package sysinfo

import (
	"bufio"
	"errors"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"

	"golang.org/x/sys/cpu"
)

// Machine describes a machine in records and in documents with measurements.
type Machine struct {
	OS       string   `json:"os"`
	Arch     string   `json:"arch"`
	CPU      string   `json:"cpu"`       // model name; empty if unknown
	CPUClass string   `json:"cpu_class"` // row of this machine in the tables of docs/performance.md
	Features []string `json:"features"`  // instruction sets that the kernels use
	Cores    int      `json:"cores"`     // logical CPUs that the process may use
	Workers  int      `json:"workers"`   // default number of workers
	Memory   int64    `json:"memory_bytes"`
}

// This describes the present machine.
func This() Machine {
	return Machine{
		OS: runtime.GOOS, Arch: runtime.GOARCH,
		CPU: cpuModel(), CPUClass: cpuClass(), Features: cpuFeatures(),
		Cores: runtime.NumCPU(), Workers: runtime.GOMAXPROCS(0), Memory: Memory(),
	}
}

// cpuClass returns the machine's class, as named in docs/performance.md.
func cpuClass() string {
	switch x := cpu.X86; {
	case runtime.GOARCH == "arm64":
		return "NEON"
	case runtime.GOARCH != "amd64":
		return "portable"
	case x.HasAVX512F && x.HasAVX512BW && x.HasAVX512DQ && x.HasAVX512VL && x.HasAVX512VNNI && x.HasAVX512BF16:
		return "AVX-512 with BF16 and VNNI"
	case x.HasAVX512F && x.HasAVX512BW && x.HasAVX512DQ && x.HasAVX512VL && x.HasAVX512VNNI:
		return "AVX-512 with VNNI"
	case x.HasAVX512F && x.HasAVX512BW && x.HasAVX512DQ && x.HasAVX512VL:
		return "AVX-512"
	case x.HasAVX2 && x.HasFMA:
		return "AVX2+FMA"
	}
	return "portable"
}

func cpuFeatures() []string {
	x, a := cpu.X86, cpu.ARM64
	found := []string{}
	for _, f := range []struct {
		name string
		has  bool
	}{
		{"avx", x.HasAVX}, {"avx2", x.HasAVX2}, {"fma", x.HasFMA},
		{"avx512f", x.HasAVX512F}, {"avx512bw", x.HasAVX512BW}, {"avx512dq", x.HasAVX512DQ}, {"avx512vl", x.HasAVX512VL},
		{"avx512vnni", x.HasAVX512VNNI}, {"avx512bf16", x.HasAVX512BF16},
		{"asimd", a.HasASIMD}, {"asimdhp", a.HasASIMDHP}, {"asimddp", a.HasASIMDDP}, {"sve", a.HasSVE},
	} {
		if f.has {
			found = append(found, f.name)
		}
	}
	return found
}

// cpuModel returns the CPU's model name, on Linux.
func cpuModel() string { return procField("/proc/cpuinfo", "model name") }

// Memory returns the memory of the machine in bytes, on Linux, or 0.
func Memory() int64 {
	number, _, _ := strings.Cut(procField("/proc/meminfo", "MemTotal"), " ")
	kib, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		return 0
	}
	return kib << 10
}

// Resident returns the present and the peak resident memory of this process in bytes, on Linux, or 0.
func Resident() (now, peak int64) {
	read := func(name string) int64 {
		number, _, _ := strings.Cut(procField("/proc/self/status", name), " ")
		kib, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			return 0
		}
		return kib << 10
	}
	return read("VmRSS"), read("VmHWM")
}

// ResetPeak releases unused memory and resets the peak that Resident returns. It reports whether the system
// supports that, as Linux does with /proc.
func ResetPeak() bool {
	debug.FreeOSMemory()
	const peak = "5" // proc(5): resets the peak resident set size
	f, err := os.OpenFile("/proc/self/clear_refs", os.O_WRONLY, 0)
	if err != nil {
		return false
	}
	_, err = f.WriteString(peak)
	return errors.Join(err, f.Close()) == nil
}

// procField returns the value of the first line "name: value" in a /proc file, or "".
func procField(path, name string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		key, value, ok := strings.Cut(lines.Text(), ":")
		if ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
