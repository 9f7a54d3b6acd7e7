/** What records contain. */
import * as kind from "../kinds.ts"

/** Labels, in columns or not at all. */
export const recordKeys = {
  label_columns: kind.boolean({
    title: "One column per label",
    group: "selection",
    description: "Turn off to get all labels of a series in one object column named labels.",
    default: true
  }),
  exclude_labels: kind.labelNames({
    title: "Excluded labels",
    group: "selection",
    description:
      "Labels to leave out of every record, for example because they contain personal data. The series_id of a series does not change.",
    examples: [["user_email", "client_ip"]],
    flag: {
      name: "exclude-label",
      metavar: "NAME",
      description:
        "Leave this label out of all records, for example because it contains personal data; repeat it for more labels",
      isAdded: true
    }
  })
}
