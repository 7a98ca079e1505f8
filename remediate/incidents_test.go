package remediate_test

import (
	"testing"
	"time"
)

const otherAlert = `
remedies:
  - name: restart-mail
    match: ['alertname="SomethingElse"']
    action: restart-service
    target: "{{ .server }}"
    with: {service: postfix}
    mode: auto
    verify: {expr: 'up == 1'}
`

func TestAlertWithoutRemedy(t *testing.T) {
	play(t, otherAlert, func(_ *testing.T, w *world) {
		w.fire("a")
		w.sleep(time.Minute)
		w.want("told", w.told(), "alert!")
		w.with(func() { w.unsure["MailDown"] = true })
		w.resolve("a")
		w.sleep(time.Minute)
		w.want("told while its rule cannot be evaluated", w.told(), "alert!")
		w.with(func() { w.unsure["MailDown"] = false })
		w.sleep(5 * time.Second)
		w.want("told", w.told(), "alert!", "resolved")
		w.fire("a")
		w.sleep(5 * time.Second)
		w.want("told", w.told(), "alert!", "resolved", "alert!")
	})
}

func TestAlertSurvivesRestart(t *testing.T) {
	play(t, otherAlert, func(_ *testing.T, w *world) {
		w.fire("a")
		w.sleep(5 * time.Second)
		w.crash(nil)
		w.sleep(5 * time.Second)
		w.want("told", w.told(), "alert!")
	})
}

func TestQuietAlerts(t *testing.T) {
	play(t, otherAlert, func(_ *testing.T, w *world) {
		w.fire("a", "severity", "none")
		w.fire("b", "alertname", "Watchdog")
		w.sleep(5 * time.Second)
		w.resolve("a")
		w.resolve("b")
		w.sleep(5 * time.Second)
		w.want("told", w.told())
	})
}

func TestPageCap(t *testing.T) {
	playFor(t, with("guards: {calendar: offpeak}"), 10*time.Minute, func(_ *testing.T, w *world) {
		w.with(func() { w.closed["offpeak"] = true })
		w.fire("a")
		w.sleep(24 * time.Hour)
		w.want("told while the calendar is closed", w.told())
	})
	playFor(t, with("guards: {for: 3h}"), time.Minute, func(_ *testing.T, w *world) {
		w.fire("a")
		w.sleep(119 * time.Minute)
		w.want("told before the cap", w.told())
		w.sleep(5 * time.Minute)
		w.want("told after the cap", w.told(), "overdue!")
		w.sleep(20 * time.Minute)
		w.resolve("a")
		w.sleep(2 * time.Minute)
		w.want("told when over", w.told(), "overdue!", "resolved")
	})
}
