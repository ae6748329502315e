package approval

import (
	"strconv"

	"ec2patch/internal/decision"
	"ec2patch/internal/markup"
)

// html is the form, for a question that the visitor may answer.
func (v *formView) html(q *questionView) markup.Part {
	if v == nil {
		return nil
	}
	form := markup.El("form", markup.Fixed("method", "post"), markup.Fixed("action", "callback"),
		markup.Fixed("autocomplete", "off"), markup.Text("\n"),
		markup.Lines(
			markup.El("input", markup.Fixed("type", "hidden"), markup.Fixed("name", "a"), markup.Attr("value", v.ID)),
			markup.El("input", markup.Fixed("type", "hidden"), markup.Fixed("name", "c"), markup.Attr("value", v.Capability)),
			v.choice(q), v.nameField(), v.reasonField(), v.codeField(q),
			markup.El("button", markup.Fixed("type", "submit"), markup.Text("Send decision")),
			markup.Para("dim", "It is recorded with this name, the time, and where it came from. It cannot be changed.")))
	return markup.Lines(markup.El("section", markup.Fixed("aria-labelledby", "decide"), markup.Class("decide"),
		markup.Text("\n"),
		markup.Lines(markup.El("h2", markup.Fixed("id", "decide"), markup.Text("Your decision"))),
		markup.LineIf(len(v.Problems) > 0, v.summary()),
		markup.Lines(form)))
}

// summary leads from what is wrong to the fields.
func (v *formView) summary() markup.Part {
	return markup.El("div", markup.Class("alert"), markup.Fixed("role", "alert"),
		markup.Lines(markup.El("p", markup.Strong("Not sent yet."), markup.Text(" Please look at:"))),
		markup.El("ul", markup.Each(v.Problems, func(p formProblem) markup.Part {
			return markup.El("li", markup.El("a", markup.Fragment(p.Field), markup.Text(p.Text)))
		})))
}

func (v *formView) choice(q *questionView) markup.Part {
	yes := "The plan as shown may go ahead."
	if len(q.Doubt) > 0 {
		yes = "The run may continue."
	}
	problem := v.Problem("approve")
	return markup.El("fieldset", markup.If(problem != "", markup.Fixed("aria-describedby", "approve-problem")),
		markup.Text("\n"), markup.Lines(
			markup.El("legend", markup.Text("What do you decide?")),
			markup.El("div", markup.Class("choices"), markup.Text("\n"), markup.Lines(
				option("good", v.radio(decision.Approve), "Approve", yes),
				option("bad", v.radio(decision.Reject), "Reject", "Then "+q.Refused+"."))),
			markup.If(problem != "", markup.El("p", markup.Class("problem"), markup.Fixed("id", "approve-problem"),
				markup.Text(problem)))))
}

func option(tone string, radio markup.Part, word, meaning string) markup.Part {
	return markup.El("label", markup.Class("choice "+tone), radio, markup.Text(" "),
		markup.El("span", markup.El("b", markup.Text(word)), markup.El("small", markup.Text(meaning))))
}

func (v *formView) radio(choice decision.Choice) markup.Part {
	return markup.El("input", markup.Fixed("type", "radio"), markup.Attr("id", choice), markup.Fixed("name", "decision"),
		markup.Attr("value", choice),
		markup.Flag("required"), markup.If(v.Decision == choice, markup.Flag("checked")))
}

func (v *formView) nameField() markup.Part {
	wrong := v.Problem("name") != ""
	return markup.El("p", markup.Class("field"),
		markup.Lines(
			markup.El("label", markup.Fixed("for", "name"), markup.Text("Your name")),
			markup.El("input", markup.Fixed("type", "text"), markup.Fixed("id", "name"), markup.Fixed("name", "name"),
				markup.Attr("value", v.Name),
				markup.Flag("required"), markup.Attr("maxlength", strconv.Itoa(v.NameLimit)), markup.Fixed("autocomplete", "name"),
				invalidIf(wrong), markup.If(wrong, markup.Fixed("aria-describedby", "name-problem")))),
		v.note("name"))
}

func (v *formView) reasonField() markup.Part {
	wrong, told := v.Problem("reason") != "", "reason-hint"
	if wrong {
		told += " reason-problem"
	}
	return markup.El("p", markup.Class("field"),
		markup.Lines(
			markup.Group(markup.El("label", markup.Fixed("for", "reason"), markup.Text("Reason")), markup.Text(" "),
				markup.El("span", markup.Class("hint"), markup.Fixed("id", "reason-hint"),
					markup.Text("Required for a rejection"))),
			markup.El("textarea", markup.Fixed("id", "reason"), markup.Fixed("name", "reason"), markup.Fixed("rows", "3"),
				markup.Attr("maxlength", strconv.Itoa(v.ReasonLimit)), markup.Attr("aria-describedby", told), invalidIf(wrong),
				markup.Text(v.Reason))),
		v.note("reason"))
}

func (v *formView) codeField(q *questionView) markup.Part {
	wrong, told := v.Problem("code") != "", "code-hint"
	if wrong {
		told += " code-problem"
	}
	return markup.El("div", markup.Class("field"),
		markup.Lines(
			markup.El("label", markup.Fixed("for", "code"), markup.Text("Code of this plan")),
			markup.El("p", markup.Class("hint"), markup.Fixed("id", "code-hint"), markup.Text("Type "),
				markup.El("kbd", markup.Text(q.Code)),
				markup.Text(": the number of instances and the beginning of the plan’s digest.")),
			markup.El("input", markup.Fixed("type", "text"), markup.Fixed("id", "code"), markup.Fixed("name", "code"),
				markup.Attr("value", v.Code),
				markup.Flag("required"), markup.Fixed("maxlength", "40"), markup.Fixed("autocomplete", "off"),
				markup.Fixed("autocapitalize", "none"),
				markup.Fixed("autocorrect", "off"), markup.Fixed("spellcheck", "false"), markup.Class("mono"),
				markup.Attr("aria-describedby", told), invalidIf(wrong))),
		v.note("code"))
}

// note is what is wrong with a field, beside it.
func (v *formView) note(field string) markup.Part {
	text := v.Problem(field)
	return markup.If(text != "",
		markup.El("span", markup.Class("problem"), markup.Attr("id", field+"-problem"), markup.Text(text)))
}

func invalidIf(wrong bool) markup.Part {
	return markup.If(wrong, markup.Fixed("aria-invalid", "true"))
}
