package sim

import "runtime"

// sideBySide calls one for every seed, both ends included, on as many goroutines as
// there are processors, and then each in the order of the seeds. An error of each
// ends it. It holds at most a few results back at a time.
func sideBySide(from, to uint64, one func(seed uint64) (*Result, error),
	each func(seed uint64, res *Result, err error) error) error {
	type answer struct {
		res *Result
		err error
	}
	workers := runtime.GOMAXPROCS(0)
	waiting := make(chan chan answer, 2*workers) // in the order of the seeds
	slots := make(chan struct{}, workers)
	stop := make(chan struct{})
	go func() {
		defer close(waiting)
		for seed := from; ; seed++ {
			out := make(chan answer, 1)
			select {
			case <-stop:
				return
			case waiting <- out:
			}
			slots <- struct{}{}
			go func() {
				defer func() { <-slots }()
				res, err := one(seed)
				out <- answer{res, err}
			}()
			if seed == to {
				return
			}
		}
	}()
	seed := from
	for out := range waiting {
		a := <-out
		if err := each(seed, a.res, a.err); err != nil {
			close(stop)
			return err
		}
		seed++
	}
	return nil
}
