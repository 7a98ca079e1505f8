package jamf

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/minikeeper/minikeeper/internal/segments"
)

// The classic API (/JSSResource) speaks XML and JSON with the same names.

// An item is an entry of a classic list.
type item struct {
	ID   int    `json:"id" xml:"id"`
	Name string `json:"name" xml:"name"`
}

type classicList struct {
	XMLName  xml.Name `json:"-"`
	Points   []item   `json:"distribution_points" xml:"distribution_point"`
	Segments []item   `json:"network_segments" xml:"network_segment"`
}

type classicPoint struct {
	XMLName     xml.Name `json:"-" xml:"distribution_point"`
	ID          int      `json:"id" xml:"id"`
	Name        string   `json:"name" xml:"name"`
	Address     string   `json:"ip_address" xml:"ip_address"`
	Principal   bool     `json:"is_master" xml:"is_master"`
	Failover    string   `json:"failover_point" xml:"failover_point"`
	LoadSharing bool     `json:"enable_load_balancing" xml:"enable_load_balancing"`
	HTTP        bool     `json:"http_downloads_enabled" xml:"http_downloads_enabled"`
	HTTPURL     string   `json:"http_url" xml:"http_url"`
}

type classicSegment struct {
	XMLName xml.Name `json:"-" xml:"network_segment"`
	ID      int      `json:"id" xml:"id"`
	Name    string   `json:"name" xml:"name"`
	From    string   `json:"starting_address" xml:"starting_address"`
	To      string   `json:"ending_address" xml:"ending_address"`
	Point   string   `json:"distribution_point" xml:"distribution_point"`
}

// decode reads XML or JSON, whichever body is. A JSON record of the classic
// API lies in an object under its name; wrapper is that name, or empty.
func decode(body []byte, wrapper string, into any) error {
	body = bytes.TrimSpace(body)
	switch {
	case bytes.HasPrefix(body, []byte("<")):
		if err := xml.Unmarshal(body, into); err != nil {
			return fmt.Errorf("read XML: %w", err)
		}
		return nil
	case wrapper != "":
		var outer map[string]json.RawMessage
		if err := json.Unmarshal(body, &outer); err != nil {
			return fmt.Errorf("read JSON: %w", err)
		}
		inner, ok := outer[wrapper]
		if !ok {
			return fmt.Errorf("read JSON: there is no %s", wrapper)
		}
		body = inner
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("read JSON: %w", err)
	}
	return nil
}

// parseList reads the list of what, "distribution_points" or
// "network_segments".
func parseList(body []byte, what string) ([]item, error) {
	var list classicList
	if err := decode(body, "", &list); err != nil {
		return nil, err
	}
	items := list.Points
	if what == "network_segments" {
		items = list.Segments
	}
	if list.XMLName.Local != "" && list.XMLName.Local != what {
		return nil, fmt.Errorf("read XML: this is a %s, not %s", list.XMLName.Local, what)
	}
	if list.XMLName.Local == "" && items == nil {
		return nil, fmt.Errorf("read JSON: there are no %s", what)
	}
	for _, i := range items {
		if i.ID <= 0 {
			return nil, fmt.Errorf("%q has no id", i.Name)
		}
	}
	return items, nil
}

// parsePoint reads a distribution point of the classic API.
func parsePoint(body []byte) (DistributionPoint, error) {
	var p classicPoint
	if err := decode(body, "distribution_point", &p); err != nil {
		return DistributionPoint{}, err
	}
	if p.Name == "" {
		return DistributionPoint{}, errors.New("a distribution point has no name")
	}
	d := DistributionPoint{
		ID: strconv.Itoa(p.ID), Name: p.Name, Address: p.Address, Principal: p.Principal,
		Failover: p.Failover, LoadSharing: p.LoadSharing,
	}
	if p.HTTP {
		d.URL = p.HTTPURL
	}
	return d, nil
}

// parseSegment reads a network segment of the classic API.
func parseSegment(body []byte) (Segment, error) {
	var s classicSegment
	if err := decode(body, "network_segment", &s); err != nil {
		return Segment{}, err
	}
	from, err := netip.ParseAddr(strings.TrimSpace(s.From))
	if err != nil {
		return Segment{}, fmt.Errorf("segment %q: starting_address %q is no address", s.Name, s.From)
	}
	to, err := netip.ParseAddr(strings.TrimSpace(s.To))
	if err != nil {
		return Segment{}, fmt.Errorf("segment %q: ending_address %q is no address", s.Name, s.To)
	}
	r, err := segments.New(from, to)
	if err != nil {
		return Segment{}, fmt.Errorf("segment %q: %w", s.Name, err)
	}
	return Segment{ID: strconv.Itoa(s.ID), Name: s.Name, Range: r, DistributionPoint: s.Point}, nil
}

// The present API (/api/v1) speaks JSON, in pages.

type pageOfPoints struct {
	Total   *int       `json:"totalCount"`
	Results []apiPoint `json:"results"`
}

type apiPoint struct {
	ID          string `json:"id"`
	Name        string `json:"name"`
	Server      string `json:"serverName"`
	Principal   bool   `json:"principal"`
	Failover    string `json:"backupDistributionPointId"` // -1: none, -2: the cloud
	LoadSharing bool   `json:"enableLoadBalancing"`
	HTTPS       bool   `json:"httpsEnabled"`
	Port        int    `json:"httpsPort"`
	Context     string `json:"httpsContext"`
}

// parsePage reads one page of distribution points. total is how many there are
// on all pages.
func parsePage(body []byte) (points []apiPoint, total int, err error) {
	var page pageOfPoints
	if err := decode(body, "", &page); err != nil {
		return nil, 0, err
	}
	if page.Total == nil || *page.Total < 0 {
		return nil, 0, errors.New("read JSON: there is no totalCount")
	}
	for _, p := range page.Results {
		if p.ID == "" || p.Name == "" {
			return nil, 0, fmt.Errorf("distribution point %q %q has no id or no name", p.ID, p.Name)
		}
	}
	return page.Results, *page.Total, nil
}

// named turns the ids of failovers into names.
func named(points []apiPoint) []DistributionPoint {
	names := map[string]string{"": "", "-1": "", "-2": Cloud}
	for _, p := range points {
		names[p.ID] = p.Name
	}
	all := make([]DistributionPoint, len(points))
	for i, p := range points {
		failover, known := names[p.Failover]
		if !known {
			failover = "id " + p.Failover // nobody has it, which is for a rule to say
		}
		all[i] = DistributionPoint{
			ID: p.ID, Name: p.Name, Address: p.Server, Principal: p.Principal, Failover: failover, LoadSharing: p.LoadSharing,
		}
		if p.HTTPS {
			all[i].URL = "https://" + p.Server + port(p.Port) + "/" + strings.TrimPrefix(p.Context, "/")
		}
	}
	return all
}

func port(n int) string {
	if n == 0 || n == 443 {
		return ""
	}
	return net.JoinHostPort("", strconv.Itoa(n))
}
