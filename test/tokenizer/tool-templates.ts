// Small chat templates of the forms in which models take tools and write calls, written for these tests.

const turns = (call: string, result: string) => `{%- for m in messages %}
{%- if m.role == 'tool' %}${result}
{%- else %}{{ '<|im_start|>' + m.role + '\\n' + m.content }}{%- for c in m.tool_calls or [] %}${call}{%- endfor %}{{ '<|im_end|>\\n' }}
{%- endif %}{%- endfor %}{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{%- endif %}`;

export const templates: Readonly<Record<string, string>> = {
  "marks around each call": `{%- if tools %}{{ '<|im_start|>system\\n<tools>' }}{%- for t in tools %}{{ '\\n' + (t | tojson) }}{%- endfor %}{{ '\\n</tools>\\n<tool_call>{"name": ..., "arguments": ...}</tool_call><|im_end|>\\n' }}{%- endif %}${turns(
    "{{ '\\n<tool_call>\\n{\"name\": \"' + c.function.name + '\", \"arguments\": ' + (c.function.arguments | tojson) + '}\\n</tool_call>' }}",
    "{{ '<|im_start|>user\\n<tool_response>\\n' + m.content + '\\n</tool_response><|im_end|>\\n' }}",
  )}`,
  "a list behind a mark": `{%- if tools is not none %}{{ '[AVAILABLE_TOOLS]' + (tools | tojson) + '[/AVAILABLE_TOOLS]' }}{%- endif %}${turns(
    "{%- if c.id|length != 9 %}{{ raise_exception(\"ids have nine letters\") }}{%- endif %}{{ '[TOOL_CALLS][' + (c.function | tojson)[:-1] + ', \"id\": \"' + c.id + '\"}]' }}",
    "{{ '[TOOL_RESULTS]' + m.tool_call_id + ': ' + m.content + '[/TOOL_RESULTS]' }}",
  )}`,
  "tools in the system message": `{%- for m in messages %}{%- if m.role == 'system' and 'tools' in m and m['tools'] is not none %}{%- set message = m %}{{ '<|system|>' + m.content + '<|tool|>' + message['tools'] + '<|/tool|><|end|>' }}{%- else %}{{ '<|' + m.role + '|>' + m.content + '<|end|>' }}{%- endif %}{%- endfor %}{{ '<|assistant|>' }}`,
  "marks on both sides": `{%- if tools %}{%- for t in tools %}{{ '<|tool|>' + (t.function | tojson) + '<|/tool|>' }}{%- endfor %}{%- endif %}${turns(
    "{{ '<|tool_call|>' + (c.function | tojson) + '<|/tool_call|>' }}",
    "{{ '<|tool_response|>' + (m.content | tojson) + '<|im_end|>' }}",
  )}`,
  "the bare call": `{%- if tools is not none %}{{ 'Functions: ' }}{%- for t in tools %}{{ t | tojson(indent=4) + '\\n' }}{%- endfor %}{%- endif %}${turns(
    "{{ '{\"name\": \"' + c.function.name + '\", ' + '\"parameters\": ' + (c.function.arguments | tojson) + '}' }}",
    "{{ 'ipython: ' + m.content }}",
  ).replace('"parameters": ', '"parameters": ')}{# {"name": ..., 'parameters': ...} #}`,
};
