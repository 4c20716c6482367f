package report

import (
	"fmt"
	"io"
	"strings"
)

// Summary writes what matters of a result for a terminal.
func Summary(w io.Writer, r *Result) {
	fmt.Fprintf(w, "%s: %s users in %s rooms, %s long\n", r.Title, count(r.Users), count(r.Rooms), clock(r.Seconds))
	if r.Interrupted {
		fmt.Fprintln(w, "INTERRUPTED: figures are of what ran until then")
	}
	if len(r.Phases) > 0 {
		fmt.Fprintf(w, "\n%-14s %9s %9s %11s %11s   %-26s   %s\n", "", "", "", "", "", "due → receipt, ms", "due → ack, ms")
		fmt.Fprintf(w, "%-14s %9s %9s %11s %11s   %8s %8s %8s   %8s %8s %8s\n", "phase", "due/s", "acked/s", "received", "expected",
			"p50", "p99", "max", "p50", "p99", "max")
	}
	for i := range r.Phases {
		p := &r.Phases[i]
		receipt, ack := latencyCells(p.Receipt), latencyCells(p.Ack)
		fmt.Fprintf(w, "%-14s %9s %9s %11s %11s   %8s %8s %8s   %8s %8s %8s\n", p.Name, figure(p.Rate), figure(perSecond(p, p.Acked)),
			count(p.Received), count(p.Expected), receipt[0], receipt[1], receipt[3], ack[0], ack[1], ack[3])
	}
	for i := range r.Phases {
		p := &r.Phases[i]
		for _, o := range p.Others {
			receipt, ack := latencyCells(o.Receipt), latencyCells(o.Ack)
			fmt.Fprintf(w, "%-14s %-10s %8s %11s %11s   %8s %8s %8s   %8s %8s %8s\n", p.Name, o.Name, count(o.Sent),
				count(o.Received), count(o.Expected), receipt[0], receipt[1], receipt[3], ack[0], ack[1], ack[3])
		}
	}
	if loads := r.loads(0, r.Seconds+1); len(loads) > 0 {
		fmt.Fprintf(w, "\n%-14s %9s %9s %11s\n", "process", "cores", "highest", "MiB")
		for _, l := range loads {
			fmt.Fprintf(w, "%-14s %9s %9s %11s\n", l.Name, figure(l.Cores), figure(l.PeakCores), figure(mebibytes(l.PeakBytes)))
		}
	}
	fmt.Fprintln(w)
	var checks []string
	for _, c := range r.Checks.list() {
		checks = append(checks, strings.ToLower(c.Name)+" "+count(c.Count))
	}
	fmt.Fprintln(w, strings.Join(checks, ", "))
	for _, d := range r.Checks.Details {
		fmt.Fprintln(w, "  "+d)
	}
	for _, t := range r.Targets {
		verdict := "met   "
		if !t.OK {
			verdict = "MISSED"
		}
		fmt.Fprintf(w, "%s  %s: %s (limit %s)\n", verdict, t.Name, t.Measured, t.Limit)
	}
}
