package tabletest

import (
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"

	"tandem/internal/table"
)

const writers = 20

// race lets writers claim each of 50 rows, alternately alone and together with a
// second row in a transaction, as claims of pairs do.
func race(f *fixture) {
	const rows = 50
	var won, fail atomic.Int64
	winner := make([]atomic.Int64, rows)
	f.together(func(w int) {
		for i := range rows {
			claim := []table.Update{{Key: sub(i), If: table.Absent, Set: attrs{"owner": strconv.Itoa(w)}}}
			if i%2 == 1 {
				claim = append(claim, table.Update{Key: sub(rows + i), If: table.Absent, Set: attrs{"owner": strconv.Itoa(w)}})
			}
			switch _, err := f.table.Update(f.Context(), claim...); {
			case err == nil:
				won.Add(1)
				winner[i].Store(int64(w))
			default:
				if _, moved := table.Moved(err); !moved {
					fail.Add(1) // conflicts may exhaust a writer's tries; it must not have won
				}
			}
		}
	})
	if won.Load() != rows {
		f.Fatalf("%d winners of %d rows (%d other failures)", won.Load(), rows, fail.Load())
	}
	for i := range rows {
		want := table.Item{Key: sub(i), Rev: 1, Attrs: attrs{"owner": fmt.Sprint(winner[i].Load())}}
		f.want(f.get(sub(i)), want)
	}
}

// increments lets writers count in one row by compare and swap.
func increments(f *fixture) {
	const each = 5
	f.must(table.Update{Key: key, Set: attrs{"n": "0"}})
	f.together(func(int) {
		for done := 0; done < each; {
			items, err := f.table.Get(f.Context(), key)
			if err != nil {
				f.Errorf("Get: %v", err)
				return
			}
			n, _ := strconv.Atoi(items[0].Attrs["n"])
			_, err = f.table.Update(f.Context(), table.Update{Key: key, If: table.AtRev(items[0].Rev), Set: attrs{"n": strconv.Itoa(n + 1)}})
			if _, moved := table.Moved(err); err != nil && !moved {
				f.Errorf("Update: %v", err)
				return
			}
			if err == nil {
				done++
			}
		}
	})
	f.want(f.get(key), table.Item{Key: key, Rev: 1 + writers*each, Attrs: attrs{"n": strconv.Itoa(writers * each)}})
}

func (f *fixture) together(writer func(w int)) {
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() { writer(w) })
	}
	wg.Wait()
}
