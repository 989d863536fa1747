package store

// Verdict is what becomes of a key.
type Verdict int

// The verdicts. Stop keeps the key and all after it.
const (
	Keep Verdict = iota
	Drop
	Stop
)

// deletePage is how many keys DeleteWhere holds at a time.
const deletePage = 256

// DeleteWhere deletes those keys with prefix that judge drops. judge is asked once for each, in ascending order, and
// changes nothing itself. An error of judge is returned as it is; what was deleted before goes with the transaction.
func DeleteWhere(w Writer, prefix string, judge func(key string, value []byte) (Verdict, error)) error {
	after := ""
	for more := true; more; {
		more = false
		var doomed []string
		// A scan does not say what happens to it when a key goes away below it.
		if err := w.Scan(prefix, after, func(key string, value []byte) (bool, error) {
			verdict, err := judge(key, value)
			if err != nil || verdict == Stop {
				return false, err
			}
			if verdict == Drop {
				doomed = append(doomed, key)
			}
			after, more = key, len(doomed) == deletePage
			return !more, nil
		}); err != nil {
			return err
		}
		for _, key := range doomed {
			if err := w.Delete(key); err != nil {
				return err
			}
		}
	}
	return nil
}
