package destination

import (
	"regexp"
	"strings"

	"tandem/internal/record"
)

// maxExplanation bounds the remote's words in an error.
const maxExplanation = 24

// constant is a code such as RATE_LIMIT.
var constant = regexp.MustCompile(`^[A-Z]{2,}(_[A-Z]+)+$`)

// vocabulary are the words of API errors. A message may quote any record, so a
// word that is not known to be harmless is taken for somebody's name.
var vocabulary = wordSet(`a about access account after again allowed already already_exists an and api are array at attribute
	bad be before been body boolean busy by call cannot characters column conflict constraint contains could created
	daily database date deleted denied detail does duplicate empty entity error exceeded exist existing exists expected expired
	failed field fields for forbidden format found from gateway has have id identical in input integer internal invalid is
	it its json key later length less limit list locked long malformed matched maximum message method minimum minute missing
	more must name no not null number object of on only operation option or parameter parse path permission permissions
	please point properties property provide provided quota rate reached read receive record refused request required resource
	retry same schema scope second server service should specified state store stored string syntax than that the there
	this time timeout to token too try type unable unauthorized unavailable unexpected unique unknown unprocessable
	unsupported update upper used valid validation value values version was were when with within wrong you your`)

func wordSet(text string) map[string]bool {
	out := map[string]bool{}
	for w := range strings.FieldsSeq(text) {
		out[w] = true
	}
	return out
}

// explain is what an operator may see of the remote's message: the words that
// cannot be data. Kept are words of the vocabulary, CODES_LIKE_THIS and the
// object's own property names, unless the request sent them as a value;
// everything else becomes "…".
func (o *object) explain(body any, sent record.Fields) string {
	words := strings.Fields(message(body))
	if len(words) == 0 {
		return ""
	}
	values := wordsOf(sent)
	var out []string
	for _, w := range words[:min(len(words), maxExplanation)] {
		w = strings.Trim(w, `.,:;!?()[]"'`)
		lower := strings.ToLower(w)
		_, property := o.types[w]
		switch {
		case property:
			out = append(out, w)
		case !values[lower] && vocabulary[lower]:
			out = append(out, lower)
		case !values[lower] && constant.MatchString(w):
			out = append(out, w)
		case len(out) == 0 || out[len(out)-1] != "…":
			out = append(out, "…")
		}
	}
	return ", " + strings.Join(out, " ")
}

// message finds an error's text where systems put it.
func message(body any) string {
	for _, path := range []string{"message", "error.message", "msg", "error.msg", "error_description", "detail", "title", "error", "code"} {
		if v, ok := at(body, path); ok {
			if s, isText := v.(string); isText && s != "" {
				return s
			}
		}
	}
	return ""
}

// wordsOf lists the words of all sent values in lower case.
func wordsOf(sent record.Fields) map[string]bool {
	out := map[string]bool{}
	for _, v := range sent {
		v = strings.ToLower(v)
		for w := range strings.FieldsFuncSeq(v, func(r rune) bool { return strings.ContainsRune(" ;,.:@/\t\n", r) }) {
			out[w] = true
		}
		out[v] = true
	}
	return out
}
