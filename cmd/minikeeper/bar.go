package main

import (
	"io"
	"os"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"

	"github.com/minikeeper/minikeeper/delta"
)

// A bar shows how far a comparison, a copy or a scan is: one line for each of its
// phases, on a terminal only. A nil bar shows nothing.
type bar struct {
	container *mpb.Progress
	phase     delta.Phase
	now       *mpb.Bar
}

// newBar returns a bar on w, nil unless that is a terminal.
func newBar(w io.Writer) *bar {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return nil
	}
	return &bar{container: mpb.New(mpb.WithOutput(w), mpb.WithRefreshRate(150*time.Millisecond))}
}

// tell takes what the library says of its progress.
func (b *bar) tell(p delta.Progress) {
	if b == nil {
		return
	}
	if b.now == nil || b.phase != p.Phase {
		b.finish()
		b.phase, b.now = p.Phase, b.add(p)
	}
	if p.BytesTotal > 0 {
		b.now.SetTotal(p.BytesTotal, false)
		b.now.SetCurrent(p.Bytes)
		return
	}
	if p.FilesTotal > 0 {
		b.now.SetTotal(p.FilesTotal, false)
	}
	b.now.SetCurrent(p.Files)
}

// add makes the line of a phase: a bar where its end is known, a count where not.
func (b *bar) add(p delta.Progress) *mpb.Bar {
	name := decor.Name(string(p.Phase), decor.WCSyncSpaceR)
	switch {
	case p.BytesTotal > 0:
		return b.container.AddBar(p.BytesTotal,
			mpb.PrependDecorators(name, decor.CountersKiloByte("% .1f / % .1f")),
			mpb.AppendDecorators(decor.Percentage(), decor.AverageSpeed(decor.SizeB1000(0), " % .1f"), decor.AverageETA(decor.ET_STYLE_GO, decor.WC{W: 8})))
	case p.FilesTotal > 0:
		return b.container.AddBar(p.FilesTotal, mpb.PrependDecorators(name, decor.CountersNoUnit("%d / %d")), mpb.AppendDecorators(decor.Percentage()))
	default:
		return b.container.New(0, mpb.NopStyle(),
			mpb.PrependDecorators(name, decor.CurrentNoUnit("%d files "), decor.Elapsed(decor.ET_STYLE_GO)))
	}
}

// finish leaves the present line as it is.
func (b *bar) finish() {
	if b.now != nil {
		b.now.Abort(false)
		b.now.Wait()
	}
}

// end leaves the last line as it is, and the terminal to others.
func (b *bar) end() {
	if b == nil {
		return
	}
	b.finish()
	b.container.Wait()
}
