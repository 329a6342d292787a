/**
 * How a model that went out is loaded and used in Python.
 */
import type { Head } from "../model/Architecture.ts"
import { type Facts, isAdapterAlone } from "./Facts.ts"

/** What a model with a head is called on the hub, and the class that loads it. */
export const taskOf = (head: Head): { readonly pipelineTag: string; readonly autoClass: string } => {
  switch (head) {
    case "sequence-classification":
    case "sequence-regression":
      return { pipelineTag: "text-classification", autoClass: "AutoModelForSequenceClassification" }
    case "token-classification":
      return { pipelineTag: "token-classification", autoClass: "AutoModelForTokenClassification" }
    case "causal-language-modeling":
      return { pipelineTag: "text-generation", autoClass: "AutoModelForCausalLM" }
    case "none":
      return { pipelineTag: "feature-extraction", autoClass: "AutoModel" }
  }
}

/** A text as Python reads it: JSON's escapes are Python's too, but for those of surrogates. */
const python = (text: string): string => JSON.stringify(text.toWellFormed())

const use = ({ hasChatTemplate, head, maximumLength }: Facts): ReadonlyArray<string> => {
  const inputs = `tokenizer("A text.", return_tensors="pt", truncation=True, max_length=${maximumLength})`
  const logits = (last: ReadonlyArray<string>) => [
    `inputs = ${inputs}`,
    "with torch.no_grad():",
    "    logits = model(**inputs).logits",
    ...last
  ]
  switch (head) {
    case "sequence-classification":
      return logits(["print(model.config.id2label[logits.argmax(-1).item()])"])
    case "sequence-regression":
      return logits(["print(logits.item())"])
    case "token-classification":
      return logits(["print([model.config.id2label[tag] for tag in logits.argmax(-1)[0].tolist()])"])
    case "causal-language-modeling":
      return [
        ...(hasChatTemplate
          ? [
            "chat = [{\"role\": \"user\", \"content\": \"A question?\"}]",
            "inputs = tokenizer.apply_chat_template(",
            "    chat, add_generation_prompt=True, return_tensors=\"pt\", return_dict=True",
            ")"
          ]
          : ["inputs = tokenizer(\"A text that\", return_tensors=\"pt\")"]),
        "with torch.no_grad():",
        "    output = model.generate(**inputs, max_new_tokens=32)",
        "print(tokenizer.decode(output[0, inputs[\"input_ids\"].shape[1] :], skip_special_tokens=True))"
      ]
    case "none":
      return [`inputs = ${inputs}`, "with torch.no_grad():", "    print(model(**inputs).last_hidden_state.shape)"]
  }
}

/** Whether the adapter's folder has the config with the labels of its head. */
export const bringsConfig = (head: Head): boolean => head !== "causal-language-modeling" && head !== "none"

/** The lines that load the model and try it. */
export const code = (facts: Facts): string => {
  const { autoClass } = taskOf(facts.head)
  const load = `folder = "."  # where this file is`
  if (!isAdapterAlone(facts)) {
    return [
      "import torch",
      `from transformers import ${autoClass}, AutoTokenizer`,
      "",
      load,
      "tokenizer = AutoTokenizer.from_pretrained(folder)",
      `model = ${autoClass}.from_pretrained(folder).eval()`,
      "",
      ...use(facts)
    ].join("\n")
  }
  const config = bringsConfig(facts.head)
  return [
    "import torch",
    "from peft import PeftModel",
    `from transformers import ${config ? "AutoConfig, " : ""}${autoClass}, AutoTokenizer`,
    "",
    load,
    `base = ${python(facts.base ?? "")}`,
    "tokenizer = AutoTokenizer.from_pretrained(folder)",
    ...(config
      ? [
        "config = AutoConfig.from_pretrained(folder)  # with the labels",
        `model = ${autoClass}.from_pretrained(base, config=config)`
      ]
      : [`model = ${autoClass}.from_pretrained(base)`]),
    "model = PeftModel.from_pretrained(model, folder).eval()",
    "",
    ...use(facts)
  ].join("\n")
}
