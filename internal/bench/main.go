// Bench measures the promise "nothing waits": the real binary, a real remote
// daemon and a real engine, beside the same engine calls made by hand. Pairs
// are interleaved, so a noisy machine disturbs both sides alike. It prints a
// table beside the targets and changes nothing outside of a temporary folder.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

func main() {
	binary := flag.String("binary", "./coder", "the binary to measure")
	rounds := flag.Int("rounds", 10, "pairs of each engine measurement")
	only := flag.String("only", "", "measure only what holds this word: start, help, list, daemon, builds, together, fleet, flow, pages, audit")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *binary, *rounds, *only); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// row is one line of the table.
type row struct{ what, got, reach, stretch string }

type report struct{ rows []row }

func (r *report) add(what, got, reach, stretch string) {
	r.rows = append(r.rows, row{what, got, reach, stretch})
	fmt.Fprintf(os.Stderr, "  %s: %s\n", what, got)
}

func (r *report) print() {
	fmt.Println("| what | measured | reach | stretch |\n|---|---|---|---|")
	for _, row := range r.rows {
		fmt.Printf("| %s | %s | %s | %s |\n", row.what, row.got, row.reach, row.stretch)
	}
}

func run(ctx context.Context, binary string, rounds int, only string) error {
	binary, err := filepath.Abs(binary)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "coder-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	fmt.Printf("%d cores, %s; %s; %.0f syncs a second on this disk\n\n", runtime.NumCPU(), runtime.Version(), engineVersion(ctx), syncRate(dir))
	out := &report{}
	for _, part := range []struct {
		name    string
		measure func(context.Context, string, string, int, *report) error
	}{{"start", measureStart}, {"help", measureHelp}, {"list", measureList}, {"daemon", measureDaemon}, {"builds", measureBuilds}, {"together", measureTogether}, {"fleet", measureFleet}, {"flow", measureFlow}, {"pages", measurePages}, {"audit", measureAudit}} {
		if only != "" && only != part.name {
			continue
		}
		fmt.Fprintln(os.Stderr, part.name)
		sub := filepath.Join(dir, part.name)
		if err := os.MkdirAll(sub, 0o700); err != nil {
			return err
		}
		if err := part.measure(ctx, binary, sub, rounds, out); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
	}
	out.print()
	return nil
}

func engineVersion(ctx context.Context) string {
	out, err := exec.CommandContext(ctx, "terraform", "version").Output()
	if err != nil {
		return "no terraform"
	}
	first, _, _ := strings.Cut(string(out), "\n")
	return first
}

// syncRate is what the disk gives a database that syncs every commit.
func syncRate(dir string) float64 {
	f, err := os.Create(filepath.Join(dir, "sync"))
	if err != nil {
		return 0
	}
	defer f.Close()
	begun, n := time.Now(), 0
	for time.Since(begun) < time.Second {
		if _, err := f.WriteAt(make([]byte, 4096), 0); err != nil || f.Sync() != nil {
			return 0
		}
		n++
	}
	return float64(n) / time.Since(begun).Seconds()
}

func median[T int64 | float64 | time.Duration](values []T) T { return percentile(values, 50) }

func percentile[T int64 | float64 | time.Duration](values []T, p int) T {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[min(len(sorted)*p/100, len(sorted)-1)]
}

func ms(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000) }
