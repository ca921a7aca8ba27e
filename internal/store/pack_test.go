package store

import (
	"bytes"
	"testing"
)

func FuzzPack(f *testing.F) {
	f.Add("701/sub/tag", []byte(`{"tag":"tag"}`), []byte(`{"tag":"tog","more":1}`), []byte("aaaaaaaaaaaaaaaaaaaaaaaaaaaa"))
	f.Fuzz(func(t *testing.T, key string, a, b, c []byte) {
		all := newCopies()
		keys := []string{key, key + "2", "x/" + key + "/y", "/" + key}
		values := [][]byte{a, b, c, bytes.Repeat(append(a, b...), 9), bytes.Repeat(c, min(len(c), 1000))}
		want := map[string][]byte{}
		for i := range 20 {
			k, v := keys[i%len(keys)], values[i%len(values)]
			all.put(k, v, uint64(i))
			want[k] = v
			if i%3 > 0 {
				packAll(all)
			}
			for k, v := range want {
				if got := all.get(k); !bytes.Equal(got, v) {
					t.Fatalf("%q came back as %q", v, got)
				}
			}
		}
	})
}
