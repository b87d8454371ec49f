package embedded

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"tandem/internal/table"
)

const childDir = "TANDEM_TEST_CRASH_DIR"

// TestMain lets the crash test start this binary again as the process to kill.
func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		writeUntilKilled(dir)
	}
	os.Exit(m.Run())
}

// writeUntilKilled changes rows from four goroutines and prints each change only
// after it has been acknowledged: "row revision", and "pair n" for transactions.
func writeUntilKilled(dir string) {
	tb, err := Open(dir, nil)
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	tb.compactAfter(64 << 10) // so that some kills hit a compaction
	tb.log.rest = 0
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := 0; ; i++ {
				writeOnce(tb, w, i)
			}
		})
	}
	wg.Wait()
}

func writeOnce(tb *Table, w, i int) {
	a := crashKey(w, "row"+strconv.Itoa(i%10))
	updates := []table.Update{{Key: a, If: table.Always, Set: map[string]string{"pad": strings.Repeat("x", 500)}, Erase: i%200 == 0}}
	if i%2 == 1 {
		b, c := crashKey(w, "left"), crashKey(w, "right")
		updates = []table.Update{{Key: b, If: table.AtRev(rev(tb, b))}, {Key: c, If: table.AtRev(rev(tb, c))}}
	}
	revs, err := tb.Update(context.Background(), updates...)
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	for j, u := range updates {
		fmt.Println(u.Key.PK, u.Key.SK, revs[j])
	}
}

func crashKey(w int, sk string) table.Key { return table.Key{PK: "W" + strconv.Itoa(w), SK: sk} }

func rev(tb *Table, k table.Key) int64 {
	items, err := tb.Get(context.Background(), k)
	if err != nil {
		return -1
	}
	return items[0].Rev
}

// Whatever was acknowledged before kill -9 is there afterwards, and what was
// changed together is there together.
func TestKill(t *testing.T) {
	const kills = 20
	const seed = 9
	r := rand.New(rand.NewPCG(seed, 0))
	dir := t.TempDir()
	acknowledged := map[table.Key]int64{}
	total := 0
	for kill := range kills {
		total += runAndKill(t, dir, 1+r.IntN(3000), time.Duration(r.IntN(3000))*time.Microsecond, acknowledged)
		tb, err := Open(dir, nil)
		if err != nil {
			t.Fatalf("kill %d of seed %d: %v", kill, seed, err)
		}
		for k, want := range acknowledged {
			if got := rev(tb, k); got < want {
				t.Errorf("kill %d of seed %d: row %s/%s is at revision %d, %d was acknowledged", kill, seed, k.PK, k.SK, got, want)
			}
		}
		for w := range 4 {
			if left, right := rev(tb, crashKey(w, "left")), rev(tb, crashKey(w, "right")); left != right {
				t.Errorf("kill %d of seed %d: half a transaction: %d and %d", kill, seed, left, right)
			}
		}
		tb.Close()
	}
	t.Logf("%d kills, %d acknowledged changes, all kept", kills, total)
}

// runAndKill starts the writer on dir, kills it some time after it has
// acknowledged n changes, and notes all that it acknowledged.
func runAndKill(t *testing.T, dir string, n int, after time.Duration, acknowledged map[table.Key]int64) (total int) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if total++; total == n {
			time.AfterFunc(after, func() { cmd.Process.Kill() })
		}
		var k table.Key
		var rev int64
		if got, _ := fmt.Sscan(lines.Text(), &k.PK, &k.SK, &rev); got != 3 {
			if strings.HasPrefix(lines.Text(), "error") {
				cmd.Process.Kill()
				t.Error(lines.Text())
			}
			continue // the last line may be cut short
		}
		acknowledged[k] = max(acknowledged[k], rev)
	}
	cmd.Wait()
	return total
}
