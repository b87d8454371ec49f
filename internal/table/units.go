package table

// What a row costs in DynamoDB is counted in units of its size (Amazon DynamoDB
// developer guide, "Read and write operations"): a write takes one for each
// kilobyte of the larger of the row before and after, a consistent read one for
// each four.
const (
	WriteUnit = 1 << 10
	ReadUnit  = 4 << 10
)

// Size is a row's size in bytes as DynamoDB counts it, 0 for an absent one: names
// and values in UTF-8, with the columns that package dynamo adds. A number takes
// half a byte a digit and one more.
func Size(it Item) int {
	if it.Rev == 0 {
		return 0
	}
	const number, writeID = 6, 26
	n := len("pk") + len(it.PK) + len("sk") + len(it.SK) + len("rev") + number + len("wid") + writeID
	if !it.Expires.IsZero() {
		n += len("ttl") + number
	}
	for name, value := range it.Attrs {
		n += len(name) + len(value)
	}
	return n
}
