package words

func OrElse(s, other string) string {
	if s != "" {
		return s
	}
	return other
}
