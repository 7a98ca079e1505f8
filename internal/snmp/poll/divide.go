package poll

// A share is the columns that are asked for together, and how many rows of
// each at once.
type share struct{ from, to, rows int }

// appetite is what is known of the columns of a table before they are read.
type appetite struct {
	rows    int   // that each needs, with the one that shows the end
	sizes   []int // bytes of an object of each column
	room    int   // bytes of objects in a reply
	objects int   // that a reply may have; 0: no limit
	repeats int   // rows of a column that a reply may have
	window  int   // requests at once
}

// maxColumns is how many OIDs gosnmp takes in a request.
const maxColumns = 60

// divide finds the shares that read a table with the fewest packets, and among
// these the fewest one after the other. It tries every number of shares.
func divide(a appetite) []share {
	best, least := 0, 0
	shares := make([]share, 0, len(a.sizes))
	for count := 1; count <= len(a.sizes); count++ {
		shares, packets, turns := a.split(shares[:0], count)
		if len(shares) == 0 {
			continue
		}
		// A turn costs a round trip, a packet costs time of the processors.
		if cost := packets + 2*turns; best == 0 || cost < least {
			best, least = count, cost
		}
	}
	shares, _, _ = a.split(shares[:0], best)
	return shares
}

// split cuts the columns into count shares of about equal size, and appends
// them to shares. It returns none if a share would be more than a request or
// a reply may have.
func (a appetite) split(shares []share, count int) (_ []share, packets, turns int) {
	longest := 0
	for i := range count {
		from, to := i*len(a.sizes)/count, (i+1)*len(a.sizes)/count
		columns := to - from
		if columns > maxColumns || a.objects > 0 && columns > a.objects && count < len(a.sizes) {
			return nil, 0, 0
		}
		row := 0
		for _, s := range a.sizes[from:to] {
			row += s
		}
		if row > a.room && columns > 1 && count < len(a.sizes) {
			return nil, 0, 0
		}
		rows := max(a.room/max(row, 1), 1)
		if a.objects > 0 {
			rows = min(rows, max(a.objects/columns, 1))
		}
		rows = max(min(rows, a.rows, a.repeats), 1)
		replies := (a.rows + rows - 1) / rows
		shares = append(shares, share{from, to, rows})
		packets += replies
		longest = max(longest, replies)
	}
	return shares, packets, (count + a.window - 1) / a.window * longest
}
