package snmp

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// An indexSpec says how to read the next part of an index.
type indexSpec struct {
	typ       string
	fixedSize int
	implied   bool // the length is what is left
	enum      map[int]string
}

// combined returns the types that a value of typ can have, by the number that
// stands before it; nil if typ is one type.
func combined(typ string) map[int]string {
	switch typ {
	case "InetAddress", "InetAddressMissingSize":
		return map[int]string{1: "InetAddressIPv4", 2: "InetAddressIPv6"}
	case "LldpPortId":
		return map[int]string{1: "DisplayString", 2: "DisplayString", 3: "PhysAddress48", 5: "DisplayString", 7: "DisplayString"}
	default:
		return nil
	}
}

// isIndexType tells whether indexText knows typ.
func isIndexType(typ string) bool {
	switch typ {
	case "Integer32", "Integer", "gauge", "counter", "PhysAddress48", "OctetString", "DisplayString",
		"InetAddressIPv4", "InetAddressIPv6", "EnumAsInfo":
		return true
	default:
		return combined(typ) != nil
	}
}

// maxIndex bounds the octets of an index, whose length the agent says.
const maxIndex = 1024

// indexText renders the next part of an index and returns the numbers that it
// took and those that are left. What is missing is taken for zeros: some
// agents leave them out at the end.
func indexText(numbers []int, s indexSpec) (text string, used, rest []int) {
	if types := combined(s.typ); types != nil {
		return combinedText(numbers, s, types)
	}
	switch s.typ {
	case "PhysAddress48":
		used, rest = split(numbers, 6)
		return join(used, ":", "%02X"), used, rest
	case "InetAddressIPv4":
		used, rest = split(numbers, 4)
		return join(used, ".", "%d"), used, rest
	case "InetAddressIPv6":
		used, rest = split(numbers, 16)
		var b strings.Builder
		for i, n := range used {
			if i > 0 && i%2 == 0 {
				b.WriteByte(':')
			}
			fmt.Fprintf(&b, "%02X", n)
		}
		return b.String(), used, rest
	case "OctetString":
		content, used, rest := octets(numbers, s)
		return octetString(content), used, rest
	case "DisplayString":
		content, used, rest := octets(numbers, s)
		return string(content), used, rest
	default: // whole numbers
		used, rest = split(numbers, 1)
		if name, ok := s.enum[used[0]]; ok && s.typ == "EnumAsInfo" {
			return name, used, rest
		}
		return strconv.Itoa(used[0]), used, rest
	}
}

// combinedText reads an index whose first number says what it is, and whose
// second number says how long, unless that is left out.
func combinedText(numbers []int, s indexSpec, types map[int]string) (text string, used, rest []int) {
	head := 2
	if s.typ == "InetAddressMissingSize" {
		head = 1
	}
	before, value := split(numbers, head)
	if typ, ok := types[before[0]]; ok {
		text, used, rest = indexText(value, indexSpec{typ: typ, enum: s.enum})
		return text, slices.Concat(before, used), rest
	}
	if head == 1 {
		return indexText(numbers, indexSpec{typ: "OctetString", implied: true})
	}
	return indexText(numbers, indexSpec{typ: "OctetString", fixedSize: min(before[1], maxIndex) + 2})
}

// octets reads as many numbers as the MIB, what is left or the first number
// says.
func octets(numbers []int, s indexSpec) (content []byte, used, rest []int) {
	length := s.fixedSize
	if s.implied {
		length = len(numbers)
	}
	var head []int
	if length == 0 {
		head, numbers = split(numbers, 1)
		length = head[0]
	}
	taken, rest := split(numbers, min(length, maxIndex))
	content = make([]byte, len(taken))
	for i, n := range taken {
		content[i] = byte(n) //nolint:gosec // an octet, whatever the agent says
	}
	return content, slices.Concat(head, taken), rest
}

// split returns the first count numbers, with zeros for those that are
// missing, and the others.
func split(numbers []int, count int) (head, tail []int) {
	if count <= len(numbers) {
		return numbers[:count:count], numbers[count:]
	}
	head = make([]int, count)
	copy(head, numbers)
	return head, nil
}

func join(numbers []int, separator, format string) string {
	parts := make([]string, len(numbers))
	for i, n := range numbers {
		parts[i] = fmt.Sprintf(format, n)
	}
	return strings.Join(parts, separator)
}

// parseIndex returns the numbers of an index such as "1.4.10".
func parseIndex(index string) []int {
	if index == "" {
		return nil
	}
	var numbers []int
	for part := range strings.SplitSeq(index, ".") {
		n, err := strconv.ParseUint(part, 10, 32)
		if err != nil {
			n = 0
		}
		numbers = append(numbers, int(n))
	}
	return numbers
}

// before returns the OID of the object that stands before the one at oid.
func before(oid string) string {
	i := strings.LastIndexByte(oid, '.')
	n, err := strconv.Atoi(oid[i+1:])
	if err != nil {
		return oid
	}
	return oid[:i+1] + strconv.Itoa(n-1)
}
