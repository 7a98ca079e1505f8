package remediate_test

import (
	"fmt"

	"github.com/minikeeper/minikeeper/remediate"
)

// A remedy file is checked against what exists, and all problems are named.
func ExampleParse() {
	file := remediate.File{Name: "mail.yml", Src: []byte(`remedies:
  - name: restart-mail
    match: ['alertname="MailRelayDown"']
    action: restart
    target: "{{ .server }}"
    verify: {expr: 'minikeeper_postfix_up{server="{{ .server }}"} == 1', whithin: 5m}
`)}
	_, err := remediate.Parse([]remediate.File{file}, remediate.Known{
		Actions: map[string]remediate.ActionInfo{"restart-service": {}, "resync": {}},
	})
	fmt.Println(err)
	// Output:
	// mail.yml:4:13: unknown action "restart" (have restart-service, resync)
	// mail.yml:6:74: unknown key "whithin" (have expr, stable_for, within)
}
