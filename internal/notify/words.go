package notify

import (
	"cmp"
	"fmt"

	"github.com/minikeeper/minikeeper"
)

// words are what differs between the kinds of event.
type words struct {
	subject  string // after the place
	headline string
	steps    string // title of the steps; "" leaves them out
	reason   string // title of the run's reason; "" leaves it out
	ask      []string
	commands []string
}

// wordsFor speaks calmly, to somebody who may be reading this at night.
func wordsFor(e minikeeper.Event) words {
	name := clip(oneLine(cmp.Or(e.Alert.Name, "minikeeper")), 80)
	server := cmp.Or(oneLine(e.Alert.Labels["server"]), "the server")
	var run minikeeper.Run
	if e.Run != nil {
		run = *e.Run
		server = cmp.Or(oneLine(run.Server), server)
	}
	remedy, id := oneLine(run.Remedy), oneLine(run.ID)
	on := name + " on " + server
	switch e.Kind {
	case minikeeper.EventAlert:
		return words{
			subject: name + " fires", headline: on + " fires, and no remedy deals with it.",
			ask: []string{"Please look at " + server + ": minikeeper watches this, but does not repair it."},
		}
	case minikeeper.EventResolved:
		return words{subject: name + " is over", headline: on + " is over."}
	case minikeeper.EventApproval:
		return words{
			subject: name + " waits for your approval: " + remedy, headline: "A repair of " + on + " waits for approval.",
			steps: "What would be done", reason: "Why it asks",
			ask:      []string{"Please decide whether this may be done."},
			commands: []string{"minikeeper remedy approve " + id, "minikeeper remedy deny " + id},
		}
	case minikeeper.EventStarted:
		return words{
			subject: name + " is being repaired: " + remedy, headline: "A repair of " + on + " has begun.",
			steps: "What is being done", ask: []string{"Please keep an eye on " + server + " until the outcome is known."},
		}
	case minikeeper.EventSucceeded:
		return words{
			subject: name + " healed: " + remedy, headline: on + " is healed.",
			steps: "What was done", reason: "What proves it",
			ask: []string{"Please confirm that " + server + " serves as it should."},
		}
	case minikeeper.EventFailed:
		return failed(name, on, server, remedy, run)
	case minikeeper.EventOverdue:
		return words{
			subject: name + " is not healed yet", headline: on + " is not healed yet, and takes longer than it should.",
			steps: "What is being done", reason: "How far it is",
			ask: []string{"Please look at " + server + ": the remedy goes on meanwhile."},
		}
	case minikeeper.EventTest:
		return words{subject: "test message", headline: "This is a test message of minikeeper."}
	default:
		return words{subject: fmt.Sprintf("%s: %s", name, oneLine(string(e.Kind))), headline: on + "."}
	}
}

// failed tells a repair that did not help from one that never began.
func failed(name, on, server, remedy string, run minikeeper.Run) words {
	w := words{
		subject: name + " not healed: " + remedy, headline: "The repair of " + on + " did not help.",
		steps: "What was done", reason: "Why",
		ask: []string{"Please look at " + server + ": what minikeeper can do by itself has not healed it."},
	}
	if len(run.Steps) == 0 && run.Started.IsZero() {
		w.subject, w.headline = name+" not healed: "+remedy+" could not start", "A repair of "+on+" could not start."
		w.steps = "What would have been done"
		w.ask = []string{"Please look at " + server + ": minikeeper may not or cannot repair it by itself now."}
	}
	return w
}
