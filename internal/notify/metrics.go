package notify

import (
	"context"
	"strings"

	"github.com/minikeeper/minikeeper"
)

// count is a series of minikeeper_notifications_total.
type count struct{ channel, outcome string }

func (n *Notifier) count(a minikeeper.Attempt) {
	name, _, _ := strings.Cut(a.Channel, " ")
	n.mu.Lock()
	defer n.mu.Unlock()
	n.counts[count{name, a.Outcome}]++
}

// Families lists the metrics of notifications, for the exporter.
func (n *Notifier) Families() []minikeeper.Family {
	return []minikeeper.Family{
		{
			Name: "minikeeper_notifications_total", Type: minikeeper.Counter, Labels: []string{"channel", "outcome"},
			Help: "Attempts to tell people something, by what became of them (delivered, retry, gave-up, skipped).",
		},
		{
			Name: "minikeeper_notification_channel_up", Type: minikeeper.Gauge, Labels: []string{"channel"},
			Help: "Whether the channel worked when it was used last (1) or not (0).",
		},
	}
}

// Collect returns the metrics of notifications, for the exporter.
func (n *Notifier) Collect(context.Context) ([]minikeeper.Sample, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	var samples []minikeeper.Sample
	for _, c := range n.channels {
		for _, outcome := range []string{
			minikeeper.AttemptDelivered, minikeeper.AttemptRetry, minikeeper.AttemptGaveUp, minikeeper.AttemptSkipped,
		} {
			samples = append(samples, minikeeper.Sample{
				Name:   "minikeeper_notifications_total",
				Labels: []minikeeper.Label{{Name: "channel", Value: c.Name}, {Name: "outcome", Value: outcome}},
				Value:  float64(n.counts[count{c.Name, outcome}]),
			})
		}
		up := 0.0
		if c.works() {
			up = 1
		}
		samples = append(samples, minikeeper.Sample{
			Name: "minikeeper_notification_channel_up", Labels: []minikeeper.Label{{Name: "channel", Value: c.Name}}, Value: up,
		})
	}
	return samples, nil
}
