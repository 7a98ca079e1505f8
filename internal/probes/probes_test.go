package probes_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minikeeper/minikeeper"
	"github.com/minikeeper/minikeeper/internal/probes"
)

func TestCollectEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var targets []probes.Target
		for i := range 40 {
			targets = append(targets, probes.Target{Probe: "p", Name: strconv.Itoa(i), Prober: proberFunc(func(ctx context.Context) probes.Result {
				if i == 0 {
					return probes.Result{Serves: true}
				}
				<-ctx.Done()
				return probes.Result{}
			})})
		}
		s := probes.New(probes.Options{Timeout: time.Minute}, targets)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		samples, err := s.Collect(ctx)
		if err == nil || !strings.Contains(err.Error(), "no time for 39 of 40") {
			t.Errorf("error %v, want one that counts 39 targets", err)
		}
		if len(samples) != 2 || samples[0].Label("target") != "0" || samples[0].Value != 1 {
			t.Errorf("got %v, want the samples of target 0 only", samples)
		}
	})
}

func TestSlowTargetsDoNotHoldUpOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var targets []probes.Target
		for i := range 64 {
			targets = append(targets, probes.Target{Probe: "p", Name: strconv.Itoa(i), Prober: proberFunc(func(ctx context.Context) probes.Result {
				<-ctx.Done()
				return probes.Result{Problems: []*probes.Problem{{Name: probes.TimedOut, Err: ctx.Err()}}}
			})})
		}
		s := probes.New(probes.Options{Timeout: 10 * time.Second}, targets)
		ctx, cancel := context.WithTimeout(t.Context(), s.Timeout())
		defer cancel()
		begun := time.Now()
		samples, err := s.Collect(ctx)
		if err != nil || len(samples) != 3*64 {
			t.Errorf("%d samples and %v, want three of each target", len(samples), err)
		}
		if took := time.Since(begun); took != 20*time.Second {
			t.Errorf("64 targets that hang took %v, want 20s", took)
		}
	})
}

func TestLogOncePerChange(t *testing.T) {
	var out bytes.Buffer
	results := []probes.Result{
		{Serves: true},
		{Problems: []*probes.Problem{{Name: probes.Refused, Err: errors.New("connect: refused")}}},
		{Problems: []*probes.Problem{{Name: probes.Refused, Err: errors.New("connect: refused")}}},
		{Serves: true, Problems: []*probes.Problem{{Name: probes.RangeIgnored, Err: errors.New("no")}}},
		{Serves: true},
		{Serves: true},
	}
	next := 0
	s := probes.New(probes.Options{Log: slog.New(slog.NewTextHandler(&out, nil))}, []probes.Target{
		{Probe: "tcp", Name: "a:1", Prober: proberFunc(func(context.Context) probes.Result {
			next++
			return results[next-1]
		})},
	})
	for range results {
		if _, err := s.Collect(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	wants := []string{"does not serve", "with a problem", "nothing is wrong"}
	if len(lines) != len(wants) {
		t.Fatalf("logged %d lines, want %d:\n%s", len(lines), len(wants), out.String())
	}
	for i, want := range wants {
		if !strings.Contains(lines[i], want) {
			t.Errorf("line %d is %s, want %q", i, lines[i], want)
		}
	}
}

// Whatever a probe says has been declared, or it would not be exported.
func TestFamiliesAreComplete(t *testing.T) {
	declared := make(map[string][]string)
	for _, f := range probes.Families() {
		declared[f.Name] = f.Labels
	}
	s := probes.New(probes.Options{}, []probes.Target{{Probe: "p", Name: "t", Prober: proberFunc(func(context.Context) probes.Result {
		return probes.Result{Problems: []*probes.Problem{{Name: "a", Err: errors.New("a")}, {Name: "a", Err: errors.New("b")}}}
	})}})
	samples, err := s.Collect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var problems []minikeeper.Sample
	for _, sample := range samples {
		labels, ok := declared[sample.Name]
		if !ok {
			t.Errorf("%s is not declared", sample.Name)
		}
		for _, l := range sample.Labels {
			if !slices.Contains(labels, l.Name) {
				t.Errorf("label %s of %s is not declared", l.Name, sample.Name)
			}
		}
		if sample.Name == "minikeeper_probe_problem" {
			problems = append(problems, sample)
		}
	}
	if len(problems) != 1 {
		t.Errorf("a problem that is seen twice makes the series %v", problems)
	}
}
