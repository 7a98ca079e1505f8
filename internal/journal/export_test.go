package journal

import (
	"fmt"
	"testing"
)

// Limit keeps the file of j from growing beyond so many pages, as a full disk would.
func Limit(t *testing.T, j *Journal, pages int) {
	t.Helper()
	if _, err := j.write.ExecContext(t.Context(), fmt.Sprintf("PRAGMA max_page_count = %d", pages)); err != nil {
		t.Fatal(err)
	}
}
