import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.apache.lucene.analysis.ko.KoreanAnalyzer;
import org.apache.lucene.document.Document;
import org.apache.lucene.document.Field;
import org.apache.lucene.document.TextField;
import org.apache.lucene.index.DirectoryReader;
import org.apache.lucene.index.IndexWriter;
import org.apache.lucene.index.IndexWriterConfig;
import org.apache.lucene.search.BooleanClause;
import org.apache.lucene.search.IndexSearcher;
import org.apache.lucene.search.Query;
import org.apache.lucene.store.ByteBuffersDirectory;
import org.apache.lucene.util.QueryBuilder;

/** For each judged query a line: whether Lucene's nori finds its message, as it comes, all terms required. */
public class Nori {
  public static void main(String[] args) throws Exception {
    List<String> messages = Files.readAllLines(Path.of(args[0]));
    var analyzer = new KoreanAnalyzer();
    var directory = new ByteBuffersDirectory();
    try (var writer = new IndexWriter(directory, new IndexWriterConfig(analyzer))) {
      for (String text : messages) {
        var document = new Document();
        document.add(new TextField("text", text, Field.Store.NO));
        writer.addDocument(document);
      }
      writer.forceMerge(1); // so that documents are numbered as messages are
    }
    var builder = new QueryBuilder(analyzer);
    var out = new StringBuilder();
    try (var reader = DirectoryReader.open(directory)) {
      var searcher = new IndexSearcher(reader);
      for (String line : Files.readAllLines(Path.of(args[1]))) {
        String[] fields = line.split("\t"); // kind, + or -, message, query
        String text = fields[3];
        boolean phrase = text.length() > 1 && text.startsWith("\"") && text.endsWith("\"");
        Query query = phrase ? builder.createPhraseQuery("text", text.substring(1, text.length() - 1))
            : builder.createBooleanQuery("text", text, BooleanClause.Occur.MUST);
        boolean found = false;
        if (query != null) {
          int message = Integer.parseInt(fields[2]);
          for (var hit : searcher.search(query, messages.size()).scoreDocs) found |= hit.doc == message;
        }
        out.append(found ? "1\n" : "0\n");
      }
    }
    System.out.print(out);
  }
}
