package rules_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/api"
	v1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"

	"github.com/minikeeper/minikeeper"
	"github.com/minikeeper/minikeeper/internal/testkit"
	"github.com/minikeeper/minikeeper/rules"
)

// serveQueries returns the address of a store's API under /query, as the
// program serves it.
func serveQueries(t testing.TB, s *rules.Store) string {
	server := httptest.NewServer(http.StripPrefix("/query", s.Handler("1.2.3")))
	t.Cleanup(server.Close)
	return server.URL + "/query"
}

// filled is a store with ten samples of two series, a second apart.
func filled(t testing.TB) (s *rules.Store, last time.Time) {
	s = open(t, rules.Options{})
	last = time.Now().Truncate(time.Second)
	for i := range 10 {
		at := last.Add(time.Duration(i-9) * time.Second)
		err := s.Append(t.Context(), []minikeeper.Sample{
			sample("service_up", float64(i), "server", "a", "site", "london"),
			sample("service_up", 1, "server", "b", "site", "paris"),
		}, at)
		if err != nil {
			t.Fatal(err)
		}
	}
	return s, last
}

// The API as Prometheus's own client sees it.
func TestAPIByClient(t *testing.T) {
	s, last := filled(t)
	client, err := api.NewClient(api.Config{Address: serveQueries(t, s)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, prom := t.Context(), v1.NewAPI(client)

	value, warnings, _, err := prom.Query(ctx, `sum(service_up)`, last)
	if err != nil || len(warnings) > 0 || value.String() != "{} => 10 @["+model.TimeFromUnixNano(last.UnixNano()).String()+"]" {
		t.Errorf("query: %v, %v, %v", value, warnings, err)
	}
	value, _, _, err = prom.Query(ctx, `nothing`, last)
	if vector, ok := value.(model.Vector); err != nil || !ok || len(vector) != 0 {
		t.Errorf("query of nothing: %v, %v", value, err)
	}
	value, _, _, err = prom.Query(ctx, `service_up{server="a"}[3s]`, last)
	if matrix, ok := value.(model.Matrix); err != nil || !ok || len(matrix) != 1 || len(matrix[0].Values) != 3 {
		t.Errorf("query of a range selector: %v, %v", value, err)
	}
	value, _, _, err = prom.Query(ctx, `1 / 0`, last)
	if err != nil || !strings.Contains(value.String(), "+Inf") {
		t.Errorf("query of infinity: %v, %v", value, err)
	}
	value, warnings, _, err = prom.Query(ctx, `service_up`, last, v1.WithLimit(1))
	if vector, ok := value.(model.Vector); err != nil || !ok || len(vector) != 1 || len(warnings) != 1 {
		t.Errorf("query with limit: %v, %v, %v", value, warnings, err)
	}
	value, _, _, err = prom.QueryRange(ctx, `service_up{server="a"}`, v1.Range{Start: last.Add(-4 * time.Second), End: last, Step: 2 * time.Second})
	if matrix, ok := value.(model.Matrix); err != nil || !ok || len(matrix) != 1 || len(matrix[0].Values) != 3 || matrix[0].Values[2].Value != 9 {
		t.Errorf("query range: %v, %v", value, err)
	}
	series, _, _, err := prom.Series(ctx, []string{`service_up{site="paris"}`, `service_up{server="b"}`}, last.Add(-time.Minute), last)
	if err != nil || len(series) != 1 || series[0]["server"] != "b" {
		t.Errorf("series: %v, %v", series, err)
	}
	names, _, _, err := prom.LabelNames(ctx, nil, time.Time{}, time.Time{})
	if err != nil || fmt.Sprint(names) != "__name__, server, site" {
		t.Errorf("labels: %v, %v", names, err)
	}
	values, _, _, err := prom.LabelValues(ctx, "server", []string{`{site="london"}`}, last.Add(-time.Minute), last)
	if err != nil || len(values) != 1 || values[0] != "a" {
		t.Errorf("label values: %v, %v", values, err)
	}
	exemplars, err := prom.QueryExemplars(ctx, "service_up", last.Add(-time.Minute), last)
	if err != nil || len(exemplars) != 0 {
		t.Errorf("exemplars: %v, %v", exemplars, err)
	}
	info, err := prom.Buildinfo(ctx)
	if err != nil || info.Version != "1.2.3" {
		t.Errorf("build info: %v, %v", info, err)
	}
}

func TestAPIRulesAndMetadata(t *testing.T) {
	keeper := newFakeKeeper(t, "# HELP service_up Whether it is.", "# TYPE service_up gauge", "service_up 0")
	file := write(t, "rules.yml", strings.Replace(downRule, "FOR", "0s", 1)+"      - {record: 'down:count', expr: count(service_up == 0)}\n")
	s, _ := run(t, fast(rules.Inputs{Targets: []rules.ScrapeTarget{keeper.target()}, RuleFiles: []string{file}}))
	eventually(t, "firing alert", func() bool { a, _, _ := find(t, s, "Down"); return a.State == minikeeper.AlertFiring })
	eventually(t, "recorded series", func() bool { return holds(t, s, "down:count == 1") })
	address := serveQueries(t, s)
	client, err := api.NewClient(api.Config{Address: address})
	if err != nil {
		t.Fatal(err)
	}
	ctx, prom := t.Context(), v1.NewAPI(client)

	alerts, err := prom.Alerts(ctx)
	if err != nil || len(alerts.Alerts) != 1 || alerts.Alerts[0].State != v1.AlertStateFiring || alerts.Alerts[0].Labels["server"] != "lon-mini-1" {
		t.Errorf("alerts: %+v, %v", alerts, err)
	}
	found, err := prom.Rules(ctx, nil)
	if err != nil || len(found.Groups) != 1 || len(found.Groups[0].Rules) != 2 {
		t.Fatalf("rules: %+v, %v", found, err)
	}
	if rule, ok := found.Groups[0].Rules[0].(v1.AlertingRule); !ok || rule.Name != "Down" || rule.Health != v1.RuleHealthGood || len(rule.Alerts) != 1 {
		t.Errorf("first rule: %+v", found.Groups[0].Rules[0])
	}
	if rule, ok := found.Groups[0].Rules[1].(v1.RecordingRule); !ok || rule.Name != "down:count" {
		t.Errorf("second rule: %+v", found.Groups[0].Rules[1])
	}
	for query, want := range map[string]string{
		"type=record":            "down:count",
		"type=alert":             `"Down"`,
		"rule_name[]=down:count": "down:count",
		"rule_group[]=none":      `"groups":[]`,
	} {
		if status, body := get(t, address+"/api/v1/rules?"+query); status != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("rules by %s: %d %s, want something with %s", query, status, body, want)
		}
	}
	metadata, err := prom.Metadata(ctx, "service_up", "")
	if err != nil || len(metadata["service_up"]) != 1 || metadata["service_up"][0].Help != "Whether it is." {
		t.Errorf("metadata: %v, %v", metadata, err)
	}
}

func get(t testing.TB, address string) (status int, body string) {
	t.Helper()
	resp, err := http.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var b strings.Builder
	if _, err := io.Copy(&b, resp.Body); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, b.String()
}

func TestAPIRefuses(t *testing.T) {
	s, _ := filled(t)
	address := serveQueries(t, s) + "/api/v1/"
	tests := []struct {
		path   string
		status int
		want   string
	}{
		{"query?query=sum(", 400, "parse error"},
		{"query", 400, "no expression"},
		{"query?query=1&time=yesterday", 400, "neither Unix seconds nor RFC 3339"},
		{"query?query=1&time=NaN", 400, "out of range"},
		{"query?query=1&time=1e300", 400, "out of range"},
		{"query?query=1&limit=-1", 400, "limit"},
		{"query?query=1&timeout=soon", 400, "timeout"},
		{"query?query=service_up&timeout=0", 503, "timeout"},
		{"query?query=service_up%2Bon()service_up", 422, "execution"},
		{"query_range?query=1", 400, "missing parameter"},
		{"query_range?query=1&start=10&end=5&step=1", 400, "before start"},
		{"query_range?query=1&start=1&end=5&step=0", 400, "shorter than 1ms"},
		{"query_range?query=1&start=1&end=5&step=-1", 400, "shorter than 1ms"},
		{"query_range?query=1&start=0&end=100000&step=1", 400, "11000"},
		{"query_range?query=1&start=-9e15&end=9e15&step=1", 400, "11000"},
		{"query_range?query=service_up[5m]&start=1&end=5&step=1", 400, "range"},
		{"series", 400, "no match[]"},
		{"series?match[]={a=''}", 400, "non-empty matcher"},
		{"series?match[]=sum(", 400, "parse error"},
		{"label/%20/values?match[]=x{", 400, "bad_data"},
		{"rules?type=all", 400, "alert or record"},
		{"metadata?limit=many", 400, "limit"},
		{"admin/tsdb/delete_series", 404, "not found"},
		{"write", 404, "not found"},
	}
	for _, tt := range tests {
		status, body := get(t, address+tt.path)
		if status != tt.status || !strings.Contains(body, tt.want) {
			t.Errorf("%s: %d %s, want %d with %q", tt.path, status, body, tt.status, tt.want)
		}
		if tt.status != 404 && !json.Valid([]byte(body)) {
			t.Errorf("%s: answer is no JSON: %s", tt.path, body)
		}
	}
}

// Grafana asks by POST, with the parameters in a form.
func TestAPIPost(t *testing.T) {
	s, last := filled(t)
	form := url.Values{"query": {`service_up{server="a"}`}, "time": {last.Format(time.RFC3339)}}
	resp, err := http.PostForm(serveQueries(t, s)+"/api/v1/query", form)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var b strings.Builder
	if _, err := io.Copy(&b, resp.Body); err != nil {
		t.Fatal(err)
	}
	if want := `"resultType":"vector","result":[{"metric":{"__name__":"service_up","server":"a","site":"london"},"value":[`; !strings.Contains(b.String(), want) {
		t.Errorf("got %s, want something with %s", b.String(), want)
	}
}

// The API as Debian's promtool sees it.
func TestAPIByPromtool(t *testing.T) {
	testkit.Peers(t, "promtool")
	s, last := filled(t)
	address := serveQueries(t, s)
	at := last.Format(time.RFC3339)
	before := last.Add(-5 * time.Second).Format(time.RFC3339)
	tests := []struct {
		args []string
		want string
	}{
		{[]string{"instant", "--time=" + at, address, `service_up{server="a"}`}, `service_up{server="a", site="london"} => 9`},
		{[]string{"range", "--start=" + before, "--end=" + at, "--step=1s", address, `sum(service_up)`}, "10 @["},
		{[]string{"series", "--match=service_up", address}, `server="b"`},
		{[]string{"labels", address, "site"}, "paris"},
	}
	for _, tt := range tests {
		out, err := exec.CommandContext(t.Context(), "promtool", append([]string{"query"}, tt.args...)...).CombinedOutput()
		if err != nil || !strings.Contains(string(out), tt.want) {
			t.Errorf("promtool query %s: %v: %s, want something with %s", strings.Join(tt.args, " "), err, out, tt.want)
		}
	}
}

// Whatever is asked, the answer is JSON, and no error is ours.
func FuzzAPI(f *testing.F) {
	f.Add("query", "query=service_up&time=1700000000.5&timeout=1s&limit=3&lookback_delta=1m")
	f.Add("query_range", "query=rate(service_up[1m])&start=0&end=2000-01-01T00:00:00Z&step=1d")
	f.Add("series", "match[]=service_up&match[]={server!~'a|b'}&start=-1")
	f.Add("labels", "match[]=service_up&limit=1")
	f.Add("label/server/values", "start=1e9&end=2e9")
	f.Add("label/U__a_2e_b/values", "")
	f.Add("rules", "type=alert&rule_name[]=a&file[]=b")
	f.Add("metadata", "metric=service_up&limit=1")
	s, _ := filled(f)
	handler := s.Handler("")
	f.Fuzz(func(t *testing.T, path, query string) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		r := (&http.Request{Method: http.MethodGet, URL: &url.URL{Path: "/api/v1/" + path, RawQuery: query}, Body: http.NoBody}).WithContext(ctx)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if w.Code >= 500 && w.Code != http.StatusServiceUnavailable {
			t.Errorf("%s?%s: %d %s", path, query, w.Code, w.Body)
		}
		if w.Header().Get("Content-Type") == "application/json" && !json.Valid(w.Body.Bytes()) {
			t.Errorf("%s?%s: answer is no JSON: %s", path, query, w.Body)
		}
	})
}
